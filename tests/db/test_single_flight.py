import anyio
import anyio.abc
import pytest

from db.single_flight import SingleFlight

pytestmark = pytest.mark.anyio


class Store:
    """Its value changes; an asking takes the value as it is when the asking begins, and ends when the test says so."""

    def __init__(self) -> None:
        self.value = 0
        self.asked = 0
        self.may_end = anyio.Event()
        self.broken: Exception | None = None

    async def ask(self) -> int:
        self.asked += 1
        value = self.value
        await self.may_end.wait()
        if self.broken is not None:
            raise self.broken
        return value


async def waiting(single_flight: SingleFlight, store: Store, answers: list[int], number: int, tasks: anyio.abc.TaskGroup) -> None:
    """So many who ask, all of them waiting."""

    async def one() -> None:
        answers.append(await single_flight.run("key", store.ask))

    for _ in range(number):
        tasks.start_soon(one)
    await anyio.wait_all_tasks_blocked()


async def test_all_who_come_during_an_asking_share_the_next_one() -> None:
    single_flight, store, answers = SingleFlight(), Store(), list[int]()
    async with anyio.create_task_group() as tasks:
        await waiting(single_flight, store, answers, 10, tasks)
        store.value = 1
        store.may_end.set()
    assert store.asked == 2
    assert sorted(answers) == [0] + [1] * 9


async def test_what_was_written_before_the_question_is_in_the_answer() -> None:
    single_flight, store, answers, later = SingleFlight(), Store(), list[int](), list[int]()
    async with anyio.create_task_group() as tasks:
        await waiting(single_flight, store, answers, 1, tasks)
        store.value = 7
        await waiting(single_flight, store, later, 3, tasks)
        store.may_end.set()
    assert (answers, later) == ([0], [7, 7, 7])


async def test_one_after_the_other_asks_anew() -> None:
    single_flight, store = SingleFlight(), Store()
    store.may_end.set()
    assert [await single_flight.run("key", store.ask) for store.value in (1, 2, 3)] == [1, 2, 3]


async def test_other_questions_do_not_wait() -> None:
    single_flight, slow, quick = SingleFlight(), Store(), Store()
    quick.may_end.set()
    async with anyio.create_task_group() as tasks:
        await waiting(single_flight, slow, [], 2, tasks)
        with anyio.fail_after(5):
            assert await single_flight.run("other key", quick.ask) == 0
        slow.may_end.set()


async def test_an_error_is_everybodys_and_is_forgotten_then() -> None:
    single_flight, store = SingleFlight(), Store()
    store.broken = ValueError("fake")
    errors: list[Exception] = []

    async def one() -> None:
        try:
            await single_flight.run("key", store.ask)
        except ValueError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        store.may_end.set()
    assert (len(errors), store.asked) == (5, 2)
    store.broken = None
    assert await single_flight.run("key", store.ask) == 0


@pytest.mark.parametrize("gone", ["first", "second"])
async def test_who_goes_away_takes_no_answer_from_the_others(gone: str) -> None:
    """The first is asking; the second will ask for the third and fourth."""
    single_flight, store, answers = SingleFlight(), Store(), list[int]()
    scope = anyio.CancelScope()

    async def leaving() -> None:
        with scope:
            await single_flight.run("key", store.ask)

    async with anyio.create_task_group() as tasks:
        if gone == "second":
            await waiting(single_flight, store, answers, 1, tasks)
        tasks.start_soon(leaving)
        await anyio.wait_all_tasks_blocked()
        await waiting(single_flight, store, answers, 2, tasks)
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        store.may_end.set()
    assert answers == ([0, 0] if gone == "first" else [0, 0, 0])

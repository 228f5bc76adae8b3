import anyio
import anyio.abc
import pytest

from db.single_flight import Sharing

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


async def waiting(sharing: Sharing, store: Store, answers: list[int], number: int, tasks: anyio.abc.TaskGroup) -> None:
    """So many who ask, all of them waiting."""

    async def one() -> None:
        answers.append(await sharing.ask("key", store.ask))

    for _ in range(number):
        tasks.start_soon(one)
    await anyio.wait_all_tasks_blocked()


async def test_all_who_come_during_an_asking_share_the_next_one() -> None:
    sharing, store, answers = Sharing(), Store(), list[int]()
    async with anyio.create_task_group() as tasks:
        await waiting(sharing, store, answers, 10, tasks)
        store.value = 1
        store.may_end.set()
    assert store.asked == 2
    assert sorted(answers) == [0] + [1] * 9


async def test_what_was_written_before_the_question_is_in_the_answer() -> None:
    sharing, store, answers, later = Sharing(), Store(), list[int](), list[int]()
    async with anyio.create_task_group() as tasks:
        await waiting(sharing, store, answers, 1, tasks)
        store.value = 7
        await waiting(sharing, store, later, 3, tasks)
        store.may_end.set()
    assert (answers, later) == ([0], [7, 7, 7])


async def test_one_after_the_other_asks_anew() -> None:
    sharing, store = Sharing(), Store()
    store.may_end.set()
    assert [await sharing.ask("key", store.ask) for store.value in (1, 2, 3)] == [1, 2, 3]


async def test_other_questions_do_not_wait() -> None:
    sharing, slow, quick = Sharing(), Store(), Store()
    quick.may_end.set()
    async with anyio.create_task_group() as tasks:
        await waiting(sharing, slow, [], 2, tasks)
        with anyio.fail_after(5):
            assert await sharing.ask("other key", quick.ask) == 0
        slow.may_end.set()


async def test_an_error_is_everybodys_and_is_forgotten_then() -> None:
    sharing, store = Sharing(), Store()
    store.broken = ValueError("fake")
    errors: list[Exception] = []

    async def one() -> None:
        try:
            await sharing.ask("key", store.ask)
        except ValueError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        store.may_end.set()
    assert (len(errors), store.asked) == (5, 2)
    store.broken = None
    assert await sharing.ask("key", store.ask) == 0


@pytest.mark.parametrize("gone", ["first", "second"])
async def test_who_goes_away_takes_no_answer_from_the_others(gone: str) -> None:
    """The first is asking; the second will ask for the third and fourth."""
    sharing, store, answers = Sharing(), Store(), list[int]()
    scope = anyio.CancelScope()

    async def leaving() -> None:
        with scope:
            await sharing.ask("key", store.ask)

    async with anyio.create_task_group() as tasks:
        if gone == "second":
            await waiting(sharing, store, answers, 1, tasks)
        tasks.start_soon(leaving)
        await anyio.wait_all_tasks_blocked()
        await waiting(sharing, store, answers, 2, tasks)
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        store.may_end.set()
    assert answers == ([0, 0] if gone == "first" else [0, 0, 0])

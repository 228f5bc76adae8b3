"""How fast sends may go: bursts, then the platform's rates, and not at all while it says so."""

import pytest

from mcp_messenger.delivery.pacing import Pacing
from providers.limits import Limits, Rate
from providers.models import ChatKind

PRIVATE, GROUP = ChatKind.PRIVATE, ChatKind.GROUP


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limits(*, overall_rate: Rate | None = None, chat_rate: Rate | None = None, group_rate: Rate | None = None) -> Limits:
    return Limits(max_text=100, overall_rate=overall_rate, chat_rate=chat_rate, group_rate=group_rate)


def sent_at(pace: Pacing, clock: Clock, chats: list[str], kind: ChatKind = PRIVATE) -> list[float]:
    """When each goes out, where each waits as long as it is told."""
    times: list[float] = []
    start = clock.now
    for chat in chats:
        while (delay := pace.delay(chat, kind)) > 0:
            clock.now += delay
        times.append(round(clock.now - start, 3))
    return times


def test_without_rates_nothing_waits(clock: Clock) -> None:
    assert sent_at(Pacing(limits(), clock), clock, ["a"] * 1000) == [0.0] * 1000


def test_a_burst_goes_at_once_and_then_the_rate_holds(clock: Clock) -> None:
    pace = Pacing(limits(chat_rate=Rate(count=3, seconds=3)), clock)
    assert sent_at(pace, clock, ["a"] * 6) == [0, 0, 0, 1, 2, 3]
    clock.now += 60
    assert sent_at(pace, clock, ["a"] * 4) == [0, 0, 0, 1]


def test_no_more_than_a_burst_and_the_rate_in_any_stretch_of_time(clock: Clock) -> None:
    times = sent_at(Pacing(limits(overall_rate=Rate(count=30, seconds=1)), clock), clock, [str(number) for number in range(200)])
    assert times[29] == 0
    assert all(sum(time <= other < time + 1 for other in times) <= 60 for time in times)
    assert times[-1] == pytest.approx((200 - 30) / 30, abs=0.01)


def test_chats_do_not_wait_for_one_another_but_for_what_all_share(clock: Clock) -> None:
    pace = Pacing(limits(chat_rate=Rate(count=1, seconds=10), overall_rate=Rate(count=2, seconds=1)), clock)
    assert sent_at(pace, clock, ["a", "b", "c", "a"]) == [0, 0, 0.5, 10]


def test_groups_have_their_own_rate(clock: Clock) -> None:
    pace = Pacing(limits(chat_rate=Rate(count=10, seconds=1), group_rate=Rate(count=2, seconds=60)), clock)
    assert sent_at(pace, clock, ["team"] * 3, GROUP) == [0, 0, 30]
    assert sent_at(pace, clock, ["channel"] * 3, ChatKind.CHANNEL) == [0, 0, 30]
    assert sent_at(pace, clock, ["ann"] * 10) == [0] * 10
    without = Pacing(limits(chat_rate=Rate(count=1, seconds=5)), clock)
    assert sent_at(without, clock, ["team"] * 2, GROUP) == [0, 5]


def test_to_ask_books_nothing_and_what_had_to_wait_was_not_booked(clock: Clock) -> None:
    pace = Pacing(limits(chat_rate=Rate(count=1, seconds=10)), clock)
    assert [pace.wait("a", PRIVATE) for _ in range(3)] == [0, 0, 0]
    assert pace.delay("a", PRIVATE) == 0
    assert [pace.delay("a", PRIVATE) for _ in range(3)] == [10, 10, 10]
    clock.now += 10
    assert pace.delay("a", PRIVATE) == 0


def test_a_block_holds_everything_back_and_is_not_shortened(clock: Clock) -> None:
    pace = Pacing(limits(), clock)
    pace.block(30)
    pace.block(5)
    assert (pace.wait("a", PRIVATE), pace.delay("b", GROUP)) == (30, 30)
    clock.now += 30
    assert pace.delay("a", PRIVATE) == 0


def test_a_block_of_one_chat_holds_back_that_chat_alone(clock: Clock) -> None:
    pace = Pacing(limits(), clock)
    pace.block(30, "a")
    assert (pace.wait("a", PRIVATE), pace.delay("b", PRIVATE)) == (30, 0)
    pace.block(40)
    assert (pace.wait("a", PRIVATE), pace.wait("b", PRIVATE)) == (40, 40)


def test_it_does_not_remember_chats_for_ever(clock: Clock) -> None:
    pace = Pacing(limits(chat_rate=Rate(count=1, seconds=1)), clock)
    for number in range(30_000):
        clock.now += 0.001
        pace.delay(str(number), PRIVATE)
    assert len(pace._due) <= 10_001
    assert pace.delay("29999", PRIVATE) > 0

"""How many chats with strangers may be begun: in the first week, in a day, after a refusal, and after a restart."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from providers.errors import Forbidden
from providers.whatsappweb.governor import Governor

DAY = 86_400.0
START = 1_790_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def logged_in(folder: Path, clock: Clock, per_day: int = 16, *, for_days: float = 0.0) -> Governor:
    governor = Governor(folder, per_day, clock)
    clock.now = START - for_days * DAY
    governor.logged_in()
    clock.now = START
    return governor


def test_a_fresh_login_may_less_and_more_each_day(tmp_path: Path, clock: Clock) -> None:
    governor = logged_in(tmp_path, clock)
    allowed: list[int] = []
    for day in range(9):
        clock.now = START + day * DAY
        allowed.append(governor.budget().allowed)
    assert allowed == [2, 4, 6, 8, 10, 12, 14, 16, 16]
    clock.now = START
    assert governor.budget().warm_up_until == at(7 * DAY)
    clock.now = START + 7 * DAY
    assert governor.budget().warm_up_until is None


def test_what_is_used_up_comes_back_after_a_day(tmp_path: Path, clock: Clock) -> None:
    governor = logged_in(tmp_path, clock)
    governor.begin("one")
    clock.now += 100
    assert governor.budget().next_at is None
    governor.begin("two")
    budget = governor.budget()
    assert (budget.begun, budget.allowed, budget.next_at) == (2, 2, at(DAY))
    with pytest.raises(Forbidden, match="2 new chats were opened in 24 hours, and 2 are allowed"):
        governor.begin("three")
    # One that was begun goes on.
    governor.begin("two")
    clock.now = START + DAY
    assert governor.budget().begun == 1
    governor.begin("three")


def test_where_none_are_allowed_there_is_no_next(tmp_path: Path, clock: Clock) -> None:
    governor = logged_in(tmp_path, clock, 0)
    assert (governor.budget().allowed, governor.budget().next_at) == (0, None)
    with pytest.raises(Forbidden, match="0 are allowed"):
        governor.begin("one")


def test_after_463_nothing_new_for_a_day(tmp_path: Path, clock: Clock) -> None:
    governor = logged_in(tmp_path, clock, for_days=10)
    governor.begin("one")
    governor.locked("one")
    budget = governor.budget()
    assert (budget.begun, budget.allowed, budget.locked_until, budget.next_at) == (1, 16, at(DAY), at(DAY))
    with pytest.raises(Forbidden, match="463"):
        governor.require("two")
    clock.now = START + DAY
    assert (governor.budget().locked_until, governor.budget().next_at) == (None, None)
    governor.begin("two")


def test_a_restart_forgets_nothing(tmp_path: Path, clock: Clock) -> None:
    governor = logged_in(tmp_path, clock, for_days=2)
    governor.begin("one")
    governor.locked("one")
    assert Governor(tmp_path, 16, clock).budget() == governor.budget()


def test_what_surely_did_not_go_out_does_not_count(tmp_path: Path, clock: Clock) -> None:
    governor = logged_in(tmp_path, clock)
    governor.begin("one")
    governor.not_begun("one")
    assert governor.budget().begun == 0


def test_a_second_attempt_does_not_take_the_first_back(tmp_path: Path, clock: Clock) -> None:
    governor = logged_in(tmp_path, clock)
    assert [governor.begin("one"), governor.begin("one")] == [True, False]
    assert Governor(tmp_path, 16, clock).budget().begun == 1


def test_the_next_login_is_a_fresh_one(tmp_path: Path, clock: Clock) -> None:
    governor = logged_in(tmp_path, clock, for_days=10)
    governor.begin("one")
    governor.logged_out()
    assert (governor.budget().begun, governor.budget().allowed) == (1, 2)
    governor.logged_in()
    assert governor.budget().warm_up_until == at(7 * DAY)


@pytest.mark.parametrize("broken", ["", "{", "[]", "{}", json.dumps({"since": START, "opened": 1, "locked_until": 0})])
def test_a_file_that_cannot_be_read_counts_as_a_fresh_login_and_is_told(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    (tmp_path / "governor.json").write_text(broken)
    governor = Governor(tmp_path, 16, clock)
    assert "counts as a fresh login" in caplog.text
    governor.logged_in()
    assert (governor.budget().allowed, governor.budget().warm_up_until) == (2, at(7 * DAY))

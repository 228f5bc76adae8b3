"""Quiet hours: what they are written as, and how long they last by the clocks of their zone."""

import os
import subprocess
import sys
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mcp_messenger.config.environment import from_environment
from mcp_messenger.config.quiet_hours import Quiet, parse_quiet
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.instances import CreateInstance, UpdateInstance, create_instance, update_instance
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.operations.validation import validated
from mcp_messenger.security.caller import ADMIN
from tests.program import ROOT
from tests.running import running_app

BERLIN = ZoneInfo("Europe/Berlin")


def test_they_go_over_midnight() -> None:
    quiet = Quiet(time(22), time(6))
    assert quiet.wait(datetime(2026, 5, 4, 23, tzinfo=UTC)) == 7 * 3600
    assert quiet.wait(datetime(2026, 5, 4, 5, 30, tzinfo=UTC)) == 1800
    assert quiet.wait(datetime(2026, 5, 4, 6, tzinfo=UTC)) == 0
    assert quiet.wait(datetime(2026, 5, 4, 22, tzinfo=UTC)) == 8 * 3600
    assert Quiet(time(12), time(14)).wait(datetime(2026, 5, 4, 13, tzinfo=UTC)) == 3600
    assert Quiet(time(12), time(14)).wait(datetime(2026, 5, 4, 12, tzinfo=UTC)) == 2 * 3600


def test_they_go_by_the_clocks_of_their_zone() -> None:
    quiet = Quiet(time(22), time(7), BERLIN)
    assert quiet.wait(datetime(2026, 7, 1, 20, 30, tzinfo=UTC)) == 8.5 * 3600
    assert quiet.wait(datetime(2026, 7, 1, 19, 30, tzinfo=UTC)) == 0
    assert quiet.wait(datetime(2026, 1, 1, 20, 30, tzinfo=UTC)) == 0


def test_the_night_in_which_clocks_are_changed_is_an_hour_shorter_or_longer() -> None:
    quiet = Quiet(time(22), time(7), BERLIN)
    assert quiet.wait(datetime(2026, 3, 28, 22, tzinfo=BERLIN)) == 8 * 3600
    assert quiet.wait(datetime(2026, 10, 24, 22, tzinfo=BERLIN)) == 10 * 3600


@pytest.mark.parametrize(
    ("written", "quiet"),
    [
        ("22:00-07:00", Quiet(time(22), time(7))),
        ("22:00 - 7:30 UTC", Quiet(time(22), time(7, 30))),
        ("22:00-07:00 Europe/Berlin", Quiet(time(22), time(7), BERLIN)),
        ("off", None),
    ],
)
def test_what_can_be_read(written: str, quiet: Quiet | None) -> None:
    assert parse_quiet(written) == quiet


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("22:00", "give two times"),
        ("25:00-06:00", "give two times"),
        ("22:00+01:00-06:00", "give two times"),
        ("night", "give two times"),
        ("22:00-22:00", "at the same time"),
        ("22:00-06:00 Berlin", "no such time zone"),
        ("22:00-06:00 Europe", "no such time zone"),
        ("22:00-06:00 ../../etc/passwd", "no such time zone"),
    ],
)
def test_what_cannot_be_read_is_told_where_it_is_given(written: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"QUIET_HOURS.*{said}"):
        from_environment({"MCP_MESSENGER_QUIET_HOURS": written})
    for name, more in (("create_instance", {"provider": "sandbox"}), ("update_instance", {"instance_id": "x"})):
        with pytest.raises(InvalidInput, match=f"quiet_hours: .*{said}"):
            validated(BY_NAME[name], {**more, "quiet_hours": written})


WITHOUT_ZONES = """
import sys
sys.modules["tzdata"] = None
from mcp_messenger.config.quiet_hours import parse_quiet
parse_quiet("22:00-06:00")
try:
    parse_quiet("22:00-06:00 Europe/Berlin")
except ValueError as error:
    print(error)
"""


def test_a_computer_without_time_zones_says_what_to_install() -> None:
    env = {**os.environ, "PYTHONTZPATH": ""}
    said = subprocess.run([sys.executable, "-c", WITHOUT_ZONES], env=env, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "install tzdata" in said


@pytest.mark.anyio
async def test_an_instance_has_its_own_or_the_servers(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        berlin = "22:00-07:00 Europe/Berlin"
        made = await create_instance(app, ADMIN, CreateInstance(provider="sandbox", quiet_hours=berlin))
        assert made.instance.quiet_hours == berlin
        for given, expected in ((None, berlin), ("off", "off"), ("", None)):
            updated = await update_instance(app, ADMIN, UpdateInstance(instance_id=made.instance_id, quiet_hours=given))
            assert updated.instance.quiet_hours == expected
        again = await create_instance(app, ADMIN, CreateInstance(provider="sandbox", quiet_hours=""))
        assert again.instance.quiet_hours is None

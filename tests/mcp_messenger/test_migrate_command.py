"""mcp-messenger migrate: forward, back, and what it says of a database that a newer version has migrated."""

from pathlib import Path

import pytest

from db.migrate import packaged
from tests.mcp_messenger.test_cli import ran
from tests.postgres import execute
from tests.program import environment
from tests.stored import rows

NEWEST = packaged()[-1]


def applied(url: str) -> list[str]:
    return [version for (version,) in rows(url, "SELECT version FROM schema_migrations ORDER BY version")]


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> dict[str, str]:
    return environment(tmp_path / "data", database_url)


def test_back_to_a_version_and_forward_again(env: dict[str, str], database_url: str) -> None:
    done = ran(env, "migrate", "--to", "8")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"taken back: {NEWEST}" in done.stdout
    assert applied(database_url) == [version for version in packaged() if version < "009"]
    done = ran(env, "migrate", "--status")
    assert f"{NEWEST}: pending" in done.stdout
    assert "008_agent_answers: applied" in done.stdout
    done = ran(env, "migrate")
    assert f"applied: {NEWEST}" in done.stdout
    assert applied(database_url) == packaged()
    assert ran(env, "migrate").stdout == f"The database is at {NEWEST}.\n"


def test_an_empty_database_is_filled_as_far_as_asked(tmp_path: Path, empty_database_url: str) -> None:
    done = ran(environment(tmp_path / "data", empty_database_url), "migrate", "--to", "003_calls")
    assert (done.returncode, applied(empty_database_url)[-1]) == (0, "003_calls")


def test_a_version_that_does_not_exist_changes_nothing(env: dict[str, str], database_url: str) -> None:
    done = ran(env, "migrate", "--to", "777")
    assert done.returncode == 1
    assert "777" in done.stderr
    assert NEWEST in done.stderr
    assert applied(database_url) == packaged()


def test_a_database_of_a_newer_version_says_which_command_to_run(env: dict[str, str], database_url: str) -> None:
    execute(database_url, "INSERT INTO schema_migrations (version) VALUES ('900_later')")
    done = ran(env, "migrate")
    assert done.returncode == 1
    assert "900_later" in done.stderr
    assert f"mcp-messenger migrate --to {NEWEST}" in done.stderr
    assert "900_later: applied by a newer version" in ran(env, "migrate", "--status").stdout


def test_the_embedded_store_is_migrated_too(tmp_path: Path) -> None:
    done = ran(environment(tmp_path / "data"), "migrate")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"The database is at {NEWEST}.\n")
    assert not list((tmp_path / "data").rglob("postmaster.pid"))

"""Every shell command of README.md and docs/: run against a real server, or at least checked against what it calls."""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from db.binaries import find_binaries
from db.embedded import EmbeddedPostgres
from mcp_messenger.api.http import HttpApi
from mcp_messenger.app import build
from mcp_messenger.commands.arguments import parser
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.operations.validation import validated
from providers import provider_class
from tests.markdown import Block, blocks
from tests.postgres import fresh_database
from tests.program import ROOT, Program, environment, program
from tests.readme import DOCUMENTS
from tests.shell import commands

NOT_RUN = "not run: "
URL = "http://127.0.0.1:3000"
SHELL = [block for path in DOCUMENTS for block in blocks(path) if block.language == "sh"]
PAGES = sorted({block.path for block in SHELL if not block.marker.startswith(NOT_RUN)})
PLAIN = frozenset({"[", "cd", "cp", "echo", "false", "grep", "git", "jq", "pg_dump", "pg_restore", "sleep", "stat", "tar", "true"})
"""Commands of the system, of which nothing here can be wrong but their effect."""
PATIENCE = 120


def named(block: Block) -> str:
    return f"{block.path.relative_to(ROOT)}:{block.line}"


@pytest.fixture(scope="module")
def openapi(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return HttpApi(build(Config(data_dir=tmp_path_factory.mktemp("data")))).api.openapi()


def test_there_are_blocks_of_both_sorts() -> None:
    assert len(PAGES) >= 6
    assert all(block.marker.removeprefix(NOT_RUN) for block in SHELL if block.marker.startswith(NOT_RUN))
    assert {block.language for path in DOCUMENTS for block in blocks(path)} <= {"sh", "bat", "json", "python", "mermaid"}


@pytest.mark.parametrize("block", SHELL, ids=named)
def test_what_a_command_calls_exists(block: Block, openapi: dict[str, Any]) -> None:
    check_all(block.text, openapi)


def check_all(text: str, openapi: dict[str, Any]) -> None:
    found = list(commands(text))
    assert found
    for command in found:
        check(command, openapi)


def check(command: list[str], openapi: dict[str, Any]) -> None:
    name, *arguments = command
    if name in PLAIN:
        return
    if name == "curl":
        check_call(arguments, openapi)
        return
    assert name in CHECKS, f"no test knows the command {name!r}"
    CHECKS[name](arguments)


def check_cli(arguments: list[str]) -> None:
    with contextlib.suppress(SystemExit) if {"--help", "--version"} & set(arguments) else contextlib.nullcontext():
        parser().parse_args(arguments)


def check_target(arguments: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in arguments if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def check_files(arguments: list[str]) -> None:
    """Arguments that look like files of this project are."""
    files = [word for word in arguments if re.fullmatch(r"[\w./-]+\.(py|sh|sql|yml|lock)", word)]
    assert [file for file in files if not (ROOT / file).exists() and not (ROOT / "examples/compose" / file).exists()] == []


def check_docker(arguments: list[str]) -> None:
    check_files(arguments)
    if "--target" in arguments:
        stages = re.findall(r"^FROM \S+ AS (\w+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
        assert arguments[arguments.index("--target") + 1] in stages
    if "--profile" in arguments:
        compose = (ROOT / "examples/compose" / arguments[arguments.index("-f") + 1]).read_text(encoding="utf-8")
        assert re.search(rf"profiles:.*\b{arguments[arguments.index('--profile') + 1]}\b", compose)


def check_uvx(arguments: list[str]) -> None:
    assert arguments[:2] == ["--from", "."]
    assert arguments[2] in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def check_claude(arguments: list[str]) -> None:
    assert (ROOT / arguments[arguments.index("--plugin-dir") + 1] / ".claude-plugin").is_dir()


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "mcp-messenger": check_cli,
    "make": check_target,
    "python": check_files,
    "sh": check_files,
    "psql": check_files,
    "docker": check_docker,
    "uvx": check_uvx,
    "claude": check_claude,
}


def check_call(arguments: list[str], openapi: dict[str, Any]) -> None:
    """Method, path, query and body of a curl command are those of a call."""
    method, body, url = "GET", None, ""
    words = iter(arguments)
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-d":
            body = json.loads(re.sub(r"\$\w+", "1", next(words)))
        elif word == "-H":
            next(words)
        elif not word.startswith("-"):
            url = word
    assert url.startswith(URL), url
    parts = urlsplit(re.sub(r"\$\w+|\bID\b", "1", url.removeprefix(URL)))
    if parts.path == "/metrics":
        return
    call, in_path = called(method, parts.path, openapi)
    query = dict(parse_qsl(parts.query))
    known = {one["name"] for one in call.get("parameters", ()) if one["in"] == "query"}
    assert set(query) <= known, (url, known)
    row = BY_NAME.get(call["operationId"])
    if row is None:
        return
    validated(row, {**in_path, **query, **(body or {})})
    if row.name == "create_instance" and body and "credentials" in body:
        provider_class(body["provider"]).settings_type.model_validate(body["credentials"])


def called(method: str, path: str, openapi: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The call of the OpenAPI document that a request is for, and what is in its path."""
    # The path with the fewest names in braces is the one that is meant.
    for template in sorted(openapi["paths"], key=lambda one: one.count("{")):
        match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template), path)
        if match and method.lower() in openapi["paths"][template]:
            return openapi["paths"][template][method.lower()], match.groupdict()
    raise AssertionError(f"there is no {method} {path}")


@pytest.mark.parametrize(
    "wrong",
    [
        f"curl -X POST {URL}/api/v1/instances/1/sent -d '{{}}'",
        f'curl -X POST {URL}/api/v1/instances/1/send -d \'{{"to": "ann", "text": "hello"}}\'',
        f"curl '{URL}/api/v1/instances/1/messages/ann?last=5'",
        "mcp-messenger qrs ID",
        "make everything",
        "docker build --target nothing .",
        "psql -f db/migrations/versions/999_nothing.sql",
        f'echo "$(curl {URL}/api/v1/nothing)"',
        "frobnicate",
    ],
)
def test_a_command_that_is_wrong_is_found(wrong: str, openapi: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, InvalidInput, SystemExit)):
        check_all(wrong, openapi)


@pytest.fixture(scope="module")
def database(embedded: EmbeddedPostgres) -> Generator[str]:
    with fresh_database(embedded.url) as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run: with the examples, and with our command and PostgreSQL's on the path."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "bin").mkdir()
    for name, command in {"mcp-messenger": [sys.executable, "-m", "mcp_messenger"], "python": [sys.executable]}.items():
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        script.chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Program]:
    data = tmp_path_factory.mktemp("server") / "data"
    data.mkdir(mode=0o700)
    with program(["serve", "--port", "0"], environment(data, database)) as running:
        yield running


@pytest.mark.skipif(not all(map(shutil.which, ("sh", "curl", "jq", "tar"))), reason="needs sh, curl, jq and tar")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_work_as_they_are(page: Path, server: Program, database: str, folder: Path, tmp_path: Path) -> None:
    """All blocks of a page that can be run, one after the other in one shell; any command that fails ends it."""
    text = "\n".join(block.text for block in SHELL if block.path == page and not block.marker.startswith(NOT_RUN))
    data = Path(server.log).with_suffix("")
    path = os.pathsep.join([str(folder / "bin"), str(find_binaries().folder), os.environ["PATH"]])
    port = server.url.rpartition(":")[2]
    env = environment(data, database, PATH=path, PYTHONPATH=str(ROOT), NO_PROXY="*", MCP_MESSENGER_PORT=port)
    script = tmp_path / "script.sh"
    script.write_text(f"set -eu\n{text.replace(URL, server.url)}")
    done = subprocess.run(["sh", "-x", str(script)], cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    problems = [line for line in done.stdout.splitlines() if '"code":' in line and '"status":4' in line.replace(" ", "")]
    assert problems == []

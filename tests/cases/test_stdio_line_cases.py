"""Lines to the stdio server as they stand, also those that are not as they should be."""

import json
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cases.loading import cases
from tests.program import ROOT, environment
from tests.waiting import until_blocking

Json = dict[str, Any]


@dataclass
class Server:
    """`answers` are its lines so far."""

    process: "subprocess.Popen[bytes]"
    answers: list[Json] = field(default_factory=list[Json])

    def write(self, lines: list[str]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.process.stdin.flush()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.append(json.loads(line))


@contextmanager
def _started(folder: Path, database_url: str) -> Generator[Server]:
    """The program over stdio. Its stderr goes to the file log."""
    command = [sys.executable, "-m", "mcp_messenger"]
    env = environment(folder / "data", database_url)
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        server = Server(process)
        reader = threading.Thread(target=server.read, daemon=True)
        reader.start()
        try:
            yield server
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.terminate()
            reader.join(10)


def _fits(answer: Json, wanted: Json) -> bool:
    unknown = wanted.keys() - {"id", "error", "error_code", "result"}
    assert not unknown, f"no check is known for an answer's {unknown}"
    ids = wanted["id"] if isinstance(wanted["id"], list) else [wanted["id"]]
    return (
        answer.get("id") in ids
        and ("error" not in wanted or _is_error(answer) is wanted["error"])
        and ("error_code" not in wanted or answer.get("error", {}).get("code") == wanted["error_code"])
        and ("result" not in wanted or ("result" in answer) is wanted["result"])
    )


def _is_error(answer: Json) -> bool:
    """A tool's own error is an error, too."""
    return "error" in answer or bool(answer.get("result", {}).get("isError"))


def _missing(server: Server, wanted: list[Json]) -> list[Json]:
    return [one for one in wanted if not any(_fits(answer, one) for answer in server.answers)]


@pytest.mark.parametrize("case", cases("bad-input.json", only=lambda case: "lines" in case["input"][0]))
def test_stdio_lines(tmp_path: Path, cases_database_url: str, case: Json) -> None:
    (step,) = case["input"]
    expected = case["expect"]
    assert step.keys() == {"lines"}
    assert expected.keys() <= {"answers", "log"}
    with _started(tmp_path, cases_database_url) as server:
        server.write(step["lines"])
        with suppress(AssertionError):
            # The first answers come while the rest of the program is still being loaded.
            until_blocking(lambda: _missing(server, expected["answers"]) == [] or server.process.poll() is not None)
        assert _missing(server, expected["answers"]) == [], server.answers
    if "log" in expected:
        assert expected["log"] == "no traceback"
        assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")

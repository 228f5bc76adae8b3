"""The testing guide's commands as they stand there, run by bash and curl."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

MANAGER = "http://localhost:3000"

needs_curl = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="curl and bash are not installed")
needs_jq = pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")


@dataclass(frozen=True)
class Answer:
    status: int
    type: str
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def commands(text: str) -> list[str]:
    """The calls of curl in a text, as a reader of the guide pastes them; comments and empty lines stand between."""
    calls = re.sub(r"\\\n\s*", "", text).split("\ncurl ")
    return ["curl " + call.partition("\n\n")[0].rstrip() for call in calls if "http" in call]


@dataclass(frozen=True)
class Guide:
    """Runs commands with the guide's placeholders filled in. `variables` are of the shell."""

    placeholders: Mapping[str, str]
    variables: Mapping[str, str]

    def curl(self, command: str) -> Answer:
        """One command that is a single call of curl."""
        assert command.count("curl ") == 1
        said = self.bash(command.replace("curl ", r"curl -s -w '\n%{http_code} %{content_type}' ")).stdout
        text, _, last = said.rpartition("\n")
        status, _, type = last.partition(" ")
        return Answer(int(status), type, text)

    def each(self, text: str) -> list[Answer]:
        """All commands of a text, one after another."""
        return [self.curl(command) for command in commands(text)]

    def bash(self, script: str) -> "subprocess.CompletedProcess[str]":
        for name, value in self.placeholders.items():
            script = script.replace(name, value)
        env = {**os.environ, "NO_PROXY": "*", **self.variables}
        return subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True, timeout=60)

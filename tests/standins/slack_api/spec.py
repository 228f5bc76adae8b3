"""Checks calls against the official description of the Web API, where a copy of it is at hand. It was frozen in 2021."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.standins.descriptions import description

# What Slack added since, as its documentation has it.
NEWER_METHODS = frozenset(
    {"auth.teams.list", "apps.connections.open", "files.getUploadURLExternal", "files.completeUploadExternal", "assistant.threads.setStatus",
     "chat.startStream", "chat.appendStream", "chat.stopStream", "agents.sessions.setStatus"}
)  # fmt: skip
NEWER_PARAMETERS = {
    "chat.postMessage": frozenset({"metadata"}),
    "conversations.history": frozenset({"include_all_metadata"}),
    "conversations.replies": frozenset({"include_all_metadata"}),
    "conversations.create": frozenset({"team_id"}),
    "users.conversations": frozenset({"team_id"}),
    "users.list": frozenset({"team_id"}),
}


@cache
def load() -> "Spec | None":
    """None where there is no description: then only what the stand-in knows itself is checked."""
    path = description("slack", "slack_web_openapi_v2.json")
    if not path.is_file():
        return None
    return Spec(json.loads(path.read_text(encoding="utf-8"))["paths"])


@dataclass(frozen=True)
class Spec:
    paths: dict[str, Any]

    def faults(self, method: str, params: dict[str, str]) -> list[str]:
        """What is wrong with a call, as sentences; none when it is right."""
        if method in NEWER_METHODS:
            return []
        described = self.paths.get(f"/{method}")
        if described is None:
            return [f"{method} is no method of the Web API"]
        operation = next(iter(described.values()))
        fields = {field["name"]: field for field in operation["parameters"] if field["name"] != "token"}
        unknown = params.keys() - fields.keys() - NEWER_PARAMETERS.get(method, frozenset())
        found = [f"{method}: unknown parameter {name}" for name in sorted(unknown)]
        found += [f"{method}: {name} is required" for name, field in fields.items() if field.get("required") and name not in params]
        wrong = [name for name in params.keys() & fields.keys() if not _fits(fields[name].get("type"), params[name])]
        return found + [f"{method}: {name} should be {fields[name]['type']}" for name in sorted(wrong)]


def _fits(kind: str | None, text: str) -> bool:
    match kind:
        case "boolean":
            return text in {"true", "false", "1", "0"}
        case "integer":
            return text.isdecimal()
        case "number":
            return text.replace(".", "", 1).isdecimal()
        case _:
            return True

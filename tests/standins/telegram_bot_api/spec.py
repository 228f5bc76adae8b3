"""Checks calls against the official description of the Bot API, where a copy of it is at hand."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.standins.descriptions import description

# The description is of Bot API 10.1. Later versions have (https://core.telegram.org/bots/api-changelog):
_LATER = {
    "sendMessageDraft": frozenset({"can_stop", "keep_on_stop"}),
    "sendRichMessageDraft": frozenset({"can_stop", "keep_on_stop"}),
    "sendMessage": frozenset({"ephemeral_message_parameters"}),
}
_LATER_TYPES = {
    "ReplyParameters": ({"name": "ephemeral_message_id", "types": ["Integer"], "required": False}, "message_id"),
    "InputRichMessage": ({"name": "blocks", "types": ["Array of RichBlock"], "required": False}, ""),
}
"""A field that was added, and one that need not be there any more."""

_ONE_OF = {"ReplyParameters": ("message_id", "ephemeral_message_id")}
"""Fields of which one has to be there."""


@cache
def load() -> "Spec | None":
    """None where there is no description: then only what the stand-in knows itself is checked."""
    path = description("telegram", "api.json")
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    for kind, (added, optional) in _LATER_TYPES.items():
        fields = content["types"][kind]["fields"]
        fields.append(added)
        for field in fields:
            field["required"] = field["required"] and field["name"] != optional
    return Spec(content["methods"], content["types"])


@dataclass(frozen=True)
class Spec:
    methods: dict[str, Any]
    types: dict[str, Any]

    def faults(self, method: str, params: dict[str, str], files: frozenset[str]) -> list[str]:
        """What is wrong with a call, as sentences; none when it is right."""
        if method not in self.methods:
            return [f"{method} is no method of the Bot API"]
        fields = {field["name"]: field for field in self.methods[method].get("fields", [])}
        later = _LATER.get(method, frozenset[str]())
        found = [f"{method}: unknown parameter {name}" for name in (params.keys() | files) - fields.keys() - later if not _is_attached(name, params)]
        found += [f"{method}: {name} is required" for name, field in fields.items() if field["required"] and name not in params.keys() | files]
        for name in params.keys() & fields.keys():
            if not any(self._fits_text(kind, params[name]) for kind in fields[name]["types"]):
                found.append(f"{method}: {name} should be {' or '.join(fields[name]['types'])}")
        found += [f"{method}: {name} takes no file" for name in files & fields.keys() if "InputFile" not in fields[name]["types"]]
        return found

    def _fits_text(self, kind: str, text: str) -> bool:
        if kind == "String":
            return True
        if kind == "InputFile":
            return text.startswith("attach://")
        if kind == "Boolean":
            return text.lower() in {"true", "false", "0", "1"}
        try:
            value = json.loads(text)
        except ValueError:
            return False
        return self._fits(kind, value)

    def _fits(self, kind: str, value: Any) -> bool:
        if kind.startswith("Array of "):
            return isinstance(value, list) and all(self._fits(kind.removeprefix("Array of "), item) for item in value)
        match kind:
            case "Integer":
                return isinstance(value, int) and not isinstance(value, bool)
            case "Float":
                return isinstance(value, int | float) and not isinstance(value, bool)
            case "String":
                return isinstance(value, str)
            case "Boolean" | "True":
                return isinstance(value, bool)
            case "RichText" if isinstance(value, str | list):
                # The description says it in words alone.
                return isinstance(value, str) or all(self._fits(kind, item) for item in value)
            case _:
                return isinstance(value, dict) and self._fits_object(kind, value)

    def _fits_object(self, kind: str, value: dict[str, Any]) -> bool:
        described = self.types[kind]
        if subtypes := described.get("subtypes"):
            return any(self._fits(subtype, value) for subtype in subtypes)
        fields = {field["name"]: field for field in described.get("fields", [])}
        return (
            value.keys() <= fields.keys()
            and (kind not in _ONE_OF or any(name in value for name in _ONE_OF[kind]))
            and all(name in value for name, field in fields.items() if field["required"])
            and all(any(self._fits(option, item) for option in fields[name]["types"]) for name, item in value.items())
        )


def _is_attached(name: str, params: dict[str, str]) -> bool:
    return any(f"attach://{name}" in value for value in params.values())

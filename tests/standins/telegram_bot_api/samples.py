"""Objects of the Bot API, made from its official description."""

from typing import Any

from tests.standins.telegram_bot_api.spec import Spec

Json = dict[str, Any]

_DEPTH = 4


class Samples:
    """Makes a value of each type: with the required fields alone, or `whole`, with the optional ones too, down to a depth."""

    def __init__(self, spec: Spec) -> None:
        self._types = spec.types

    def fields_of(self, kind: str) -> dict[str, Json]:
        return {field["name"]: field for field in self._types[kind].get("fields", [])}

    def value(self, kind: str, name: str = "", *, whole: bool = False, depth: int = 0, always: str = "") -> Any:
        """A value; `always` is what a String always is, as its description has it."""
        if kind.startswith("Array of "):
            return [self.value(kind.removeprefix("Array of "), name, whole=whole, depth=depth + 1)]
        match kind:
            case "Integer":
                return 1_790_000_000 if "date" in name or name.endswith("time") else 5
            case "Float":
                return 1.5
            case "String":
                return always or f"a {name}"
            case "Boolean" | "True":
                return True
            case _:
                return self.object(kind, whole=whole, depth=depth)

    def object(self, kind: str, *, whole: bool = False, depth: int = 0) -> Any:
        described = self._types[kind]
        if subtypes := described.get("subtypes"):
            return self.value(subtypes[0], whole=whole, depth=depth)
        return {
            name: self.value(field["types"][0], name, whole=whole, depth=depth + 1, always=_always(field["description"]))
            for name, field in self.fields_of(kind).items()
            if field["required"] or (whole and depth < _DEPTH)
        }


def _always(description: str) -> str:
    """What a field always holds: `always "user"`, `always “user”`, or `must be photo`."""
    for mark in ("always", "must be"):
        if f"{mark} " in description:
            return description.partition(f"{mark} ")[2].split(",")[0].strip('"“”. ')
    return "private" if description.startswith("Type of the chat") else ""

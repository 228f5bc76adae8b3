"""Checks calls against Discord's own description of its API, where a copy of it is at hand."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema

from tests.standins.descriptions import description


@cache
def load() -> "Spec | None":
    """None where there is no description: then only what the stand-in knows itself is checked."""
    path = description("discord", "openapi.json")
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    operations = {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in content["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict)
    }
    return Spec(operations, content["components"])


@dataclass(frozen=True)
class Spec:
    operations: dict[str, tuple[str, str, Any]]
    components: dict[str, Any]

    def faults(self, call: str, query: dict[str, str], body: Any) -> list[str]:
        """What is wrong with a call, as sentences; none when it is right."""
        if call not in self.operations:
            return [f"{call} is no operation of Discord"]
        operation = self.operations[call][2]
        described = {one["name"]: one for one in operation.get("parameters", []) if one.get("in") == "query"}
        found = [f"{call}: unknown parameter {name}" for name in query.keys() - described.keys()]
        schemas = {name: _of_one(described[name]["schema"]) for name in query.keys() & described.keys()}
        found += [f"{call}: {name} is not right" for name, schema in schemas.items() if not self._fits(schema, query[name])]
        asked = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if asked is None:
            return found + ([f"{call} takes no body"] if body is not None else [])
        return found + [f"{call}: {error.json_path} {error.message[:300]}" for error in self._errors(asked, {} if body is None else body)]

    def _fits(self, schema: Any, text: str) -> bool:
        return not list(self._errors(schema, text)) or (text.isdecimal() and not list(self._errors(schema, int(text))))

    def _errors(self, schema: Any, value: Any) -> Any:
        return jsonschema.Draft202012Validator({**schema, "components": self.components}).iter_errors(value)


def _of_one(schema: Any) -> Any:
    """Return what one value in a query has to be: a list is written as the same name several times."""
    return schema["items"] if schema.get("type") == "array" else schema

"""Checks messages to WhatsApp against Meta's description of its Cloud API, where a copy of it is at hand."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml  # pyright: ignore[reportMissingModuleSource]  it has no types

from tests.standins.descriptions import description

_SCHEMAS = "#/components/schemas/"

# Where the description (v23) is stricter or older than the API itself:
# - `recipient` and an optional `to` came with business-scoped user ids, in 2026;
# - `biz_opaque_callback_data` is in Meta's guide, and not in the description;
# - a template's button 0 does not fit the pattern of its index, in which numbers stand as letters; codes to copy came later;
# - `allOf` with `additionalProperties: false` can be satisfied by nothing, so the parts are put together first.
_NEWER = {"recipient": {"type": "string"}, "biz_opaque_callback_data": {"type": "string", "maxLength": 512}}


def examples() -> Path:
    """Meta's examples of deliveries."""
    return description("meta", "business-messaging-api_v23.0.yaml").with_name("meta_webhook_examples.json")


@cache
def load() -> "Spec | None":
    """None where there is no description: then only what the stand-in knows itself is checked."""
    path = description("meta", "business-messaging-api_v23.0.yaml")
    if not path.is_file():
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    components = yaml.load(path.read_text(encoding="utf-8"), loader)["components"]
    button = components["schemas"]["TemplateComponent"]["properties"]
    del button["index"]["pattern"]
    button["sub_type"]["enum"].append("copy_code")
    return Spec(components)


@dataclass(frozen=True)
class Spec:
    components: dict[str, Any]

    def faults(self, body: dict[str, Any]) -> list[str]:
        """What is wrong with a message, as sentences; none when it is right."""
        kinds: dict[str, str] = self.components["schemas"]["Message"]["discriminator"]["mapping"]
        if body.get("type") not in kinds:
            return [f"{body.get('type')} is no type of message"]
        schema = {**self._together(kinds[body["type"]]), "components": self.components}
        validator = jsonschema.Draft202012Validator(schema)
        return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(body)]

    def _together(self, reference: str) -> dict[str, Any]:
        """One schema of the parts of a message."""
        parts = self.components["schemas"][reference.removeprefix(_SCHEMAS)]["allOf"]
        parts = [self.components["schemas"][part["$ref"].removeprefix(_SCHEMAS)] if "$ref" in part else part for part in parts]
        properties = {name: value for part in parts for name, value in part["properties"].items()} | _NEWER
        required = {name for part in parts for name in part["required"]} - {"to"}
        named = {"oneOf": [{"required": ["to"]}, {"required": ["recipient"]}]}
        return {"type": "object", "properties": properties, "required": sorted(required), "additionalProperties": False, **named}

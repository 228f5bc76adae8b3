"""Schemas as a model is shown them: nothing that costs tokens and says nothing."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import DictSchema, ListSchema

from mcp_messenger.operations.operation import Operation

Schema = dict[str, Any]
LIMITS = frozenset({"maxLength", "minLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"})
"""What the server refuses with words of its own, and a model rarely comes near."""


def input_schema(operation: Operation, *, without_instance: bool = False) -> Schema:
    """The JSON schema of an operation's arguments. `without_instance`: for a server of one instance alone."""
    full = operation.input.model_json_schema(by_alias=False)
    hidden = operation.input.hidden | ({"instance_id"} if without_instance else set[str]())
    definitions = full.get("$defs", {})
    properties = {name: _lean(spec, definitions) for name, spec in full.get("properties", {}).items() if name not in hidden}
    return _object(properties, [name for name in full.get("required", []) if name not in hidden])


def output_schema(operation: Operation) -> Schema:
    """The JSON schema of the upper level of an answer: what lies deeper is seen in the answer itself."""
    full = operation.output.model_json_schema(schema_generator=_UpperLevel)
    definitions = full.get("$defs", {})
    specs = {name: spec for name, spec in full.get("properties", {}).items() if name not in operation.output.hidden}
    # An answer leaves out what is null, required or not.
    required = [name for name in full.get("required", []) if name in specs and not _may_be_null(specs[name])]
    return _object({name: _shallow(_lean(spec, definitions)) for name, spec in specs.items()}, required)


class _UpperLevel(GenerateJsonSchema):
    """Spares the start what would be thrown away again."""

    def list_schema(self, schema: ListSchema) -> Schema:
        return {"type": "array"}

    def dict_schema(self, schema: DictSchema) -> Schema:
        return {"type": "object"}


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _lean(spec: Schema, definitions: Schema, inside: frozenset[str] = frozenset()) -> Schema:
    """Return a schema with its references replaced by their targets: nothing else of the full schema is shown, where they would point to.

    `inside`: the definitions that lead here; one that holds itself again is any object there.
    """
    if "$ref" in spec:
        name = spec["$ref"].rpartition("/")[2]
        target = {"type": "object"} if name in inside else definitions[name]
        inside |= {name}
        spec = {**target, **{key: value for key, value in spec.items() if key != "$ref"}}
    choices = [choice for choice in spec.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        spec = {**spec, **choices[0]}
        del spec["anyOf"]
        return _lean(spec, definitions, inside)
    says_nothing: set[str] = {"default"} if spec.get("default", "") in (None, "", False, []) else set()
    dropped = LIMITS | {"title", "additionalProperties"} | says_nothing
    lean = {key: value for key, value in spec.items() if key not in dropped}
    if spec.get("additionalProperties") is True:
        # Pydantic AI closes an object that does not say that it takes any key; google-genai reads no `true` there.
        lean["additionalProperties"] = {}
    if "items" in lean:
        lean["items"] = _lean(lean["items"], definitions, inside)
    if "properties" in lean:
        lean["properties"] = {name: _lean(part, definitions, inside) for name, part in lean["properties"].items()}
    if choices:
        lean["anyOf"] = [_lean(choice, definitions, inside) for choice in choices]
    return lean


def _shallow(spec: Schema) -> Schema:
    return {"type": spec["type"]} if "type" in spec else {}


def _may_be_null(spec: Schema) -> bool:
    return {"type": "null"} in spec.get("anyOf", [])

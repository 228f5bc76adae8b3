"""Input schemas as a model is shown them: nothing that costs tokens and says nothing."""

from typing import Any

from mcp_messenger.operations.operation import Operation


def tool_schema(operation: Operation, *, without_instance: bool = False) -> dict[str, Any]:
    """The JSON schema of an operation's arguments. `without_instance`: for a server of one instance alone."""
    full = operation.input.model_json_schema(by_alias=False)
    hidden = operation.input.quiet | ({"instance_id"} if without_instance else set[str]())
    definitions = full.get("$defs", {})
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _lean(spec, definitions) for name, spec in full.get("properties", {}).items() if name not in hidden},
    }
    required = [name for name in full.get("required", []) if name not in hidden]
    if required:
        schema["required"] = required
    return schema


def _lean(spec: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in spec:
        target = definitions[spec["$ref"].rpartition("/")[2]]
        spec = {**target, **{key: value for key, value in spec.items() if key != "$ref"}}
    choices = [choice for choice in spec.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        spec = {**spec, **choices[0]}
        del spec["anyOf"]
        return _lean(spec, definitions)
    says_nothing: set[str] = {"default"} if spec.get("default", "") in (None, "", False) else set()
    dropped = {"title", "additionalProperties", "maxLength", "minLength"} | says_nothing
    lean = {key: value for key, value in spec.items() if key not in dropped}
    if "items" in lean:
        lean["items"] = _lean(lean["items"], definitions)
    return lean

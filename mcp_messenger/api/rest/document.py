"""Completes the OpenAPI document: servers, keys, problems, and an example of every call and answer."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI

from mcp_messenger.api.rest.routes import Problem
from mcp_messenger.config import Config

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"
BEARER = "An API key, a user's token or the admin token. On 127.0.0.1, where no admin token is set, none is needed."
OPEN = frozenset({"health"})
"""Calls that need no key."""
IMPORT = "import_data"
"""Its body is a file."""
MESSAGE_ID, NOON = "1042", "2026-11-30T12:00:00Z"
CALLS: Mapping[str, Json] = MappingProxyType(
    {
        "create_instance": {"provider": "sandbox", "user_id": "local", "credentials": {"auto_scan": True}},
        "update_instance": {"quiet_hours": "22:00-07:00 Europe/Berlin"},
        "multi_provider_create": {"provider": "telegram", "config": {"botToken": "123456:FAKE-TOKEN"}},
        "send_message": {"to": "15550100", "message": "Hello!", "idempotency_key": "order-17"},
        "send_media": {"to": "15550100", "source": "https://example.com/picture.png", "caption": "Look!"},
        "set_webhook": {"enabled": True, "url": "https://example.com/hook", "events": ["message", "reaction"]},
        "create_webhook": {"url": "https://example.com/alerts", "events": ["notice", "state"]},
        "update_webhook": {"enabled": True, "url": "https://example.com/alerts", "events": ["notice", "state"]},
        "create_key": {"name": "reports", "scopes": ["read"], "expires_in_days": 30},
        "check_call": {"operation": "send_message", "arguments": {"to": "15550100", "message": "Hello!"}},
        "edit_message": {"message": "Hello again!"},
        "set_credentials": {"credentials": {"token": "123456:FAKE-TOKEN"}},
        "set_quotas": {"limits": {"instances": "200", "memory": "16g"}},
    }
)
"""Bodies that say more than what is required."""
VALUES: Mapping[str, Any] = MappingProxyType(
    {
        "instance_id": "018f6f2e-5b1c-7a40-9d3e-2f6c1b0a9e77",
        "instanceId": "018f6f2e-5b1c-7a40-9d3e-2f6c1b0a9e77",
        "message_id": MESSAGE_ID,
        "chat_id": "15550100",
        "chatId": "15550100",
        "to": "15550100",
        "contact_id": "15550100",
        "participant": "15550101",
        "participants": ["15550101"],
        "group_id": "120363000000000000",
        "user_id": "local",
        "provider": "sandbox",
        "phone": "15550100",
        "query": "invoice",
        "message": "Hello!",
        "text": "Hello!",
        "question": "Is Friday good?",
        "options": ["Yes", "No"],
        "choices": [{"id": "yes", "title": "Yes"}],
        "latitude": 52.52,
        "longitude": 13.405,
        "name": "Ann",
        "source": "https://example.com/picture.png",
        "template": "appointment",
        "language": "en",
        "invite_link": "https://chat.example.com/invite/FAKE",
        "operation": "send_message",
        "after": "0",
        "next_cursor": "1042",
        "delivery_id": "17",
        "webhook_id": "2",
        "approval_id": "018f6f2e-5b1c-7a40-9d3e-2f6c1b0a9e78",
        "key_id": "018f6f2e-5b1c-7a40-9d3e-2f6c1b0a9e79",
        "person_id": "7",
        "api_key": "mm_a-fake-key",
        "token": "mm_a-fake-token",
        "key": "mm_a-fake-key",
        "secret": "whsec_YSBmYWtlIHNlY3JldCBvZiAzMiBieXRlcyBsZW4=",
        "url": "https://example.com/hook",
        "id": MESSAGE_ID,
        "status": "ready",
        "state": "ready",
        "type_instance": ["api"],
        "runtime": "process",
        "kind": "text",
        "title": "Ann",
        "sender_name": "Ann",
        "detail": "Why it is so.",
    }
)
"""Of fields and parameters, by name."""
ANSWERED = frozenset({"text", "chat_id", "sender_name", "title", "message_id", "next_cursor"})
"""Fields that examples of answers have although they may be missing."""
FORMATS: Mapping[str, Any] = MappingProxyType({"date-time": NOON, "date": NOON[:10], "uri": "https://example.com/", "uuid": VALUES["instance_id"]})
TYPES: Mapping[str, Any] = MappingProxyType({"boolean": True, "null": None, "string": "text"})


def complete(api: FastAPI, config: Config) -> None:
    """Have the application's document completed, once, when it is first asked for."""
    without = api.openapi
    made: list[Json] = []

    def openapi() -> Json:
        if not made:
            made.append(completed(without(), config))
        return made[0]

    api.openapi = openapi


def completed(document: Json, config: Config) -> Json:
    """Return FastAPI's document with what it does not know."""
    document["servers"] = [{"url": config.public_url or config.address(config.port)}]
    components = document["components"]
    components["schemas"]["Problem"] = Problem.model_json_schema()
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "description": BEARER}}
    document["security"] = [{"bearer": []}, {}]
    for methods in document["paths"].values():
        for call in methods.values():
            _add_examples(call, components["schemas"])
            if call["operationId"] in OPEN:
                call["security"] = []
    return document


def _add_examples(call: Json, schemas: Json) -> None:
    for parameter in call.get("parameters", ()):
        if parameter.get("required"):
            parameter["example"] = example(parameter["schema"], schemas, parameter["name"])
    if call["operationId"] == IMPORT:
        call["requestBody"] = {"required": True, "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
    media_types = call.get("requestBody", {}).get("content", {})
    for media in (media for kind, media in media_types.items() if kind == "application/json"):
        media["example"] = CALLS.get(call["operationId"]) or example(media["schema"], schemas)
    for status, answer in call["responses"].items():
        media = answer.get("content", {}).get("application/json")
        if status.isdecimal() and media is not None and "schema" in media:
            media["example"] = example(media["schema"], schemas, also=ANSWERED)


def example(schema: Json, schemas: Json, name: str = "", *, also: frozenset[str] = frozenset()) -> Any:
    """Return a value that fits a schema: its required fields and those of `also`, with the values that their names call for."""
    known = _known(schema, name)
    if known is not None:
        return known
    if "$ref" in schema:
        return example(schemas[schema["$ref"].removeprefix(SCHEMAS)], schemas, name, also=also)
    for way in ("anyOf", "oneOf", "allOf"):
        if way in schema:
            return example(schema[way][0], schemas, name, also=also)
    kind: str = schema.get("type", "string")
    if kind == "object" or "properties" in schema:
        wanted = {*schema.get("required", ()), *also}
        return {field: example(part, schemas, field, also=also) for field, part in schema.get("properties", {}).items() if field in wanted}
    if kind == "array":
        return [example(schema["items"], schemas, also=also)] if schema.get("items") else []
    if kind in {"integer", "number"}:
        return max(1, schema.get("minimum", 1))
    return TYPES.get(kind, "text")


def _known(schema: Json, name: str) -> Any:
    """Return the value that a schema or its name says by itself; None where neither does."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    fits = {"string": str, "array": list, "number": float}.get(schema.get("type", ""))
    if name in VALUES and fits is not None and isinstance(VALUES[name], fits):
        return VALUES[name]
    if schema.get("type") == "string":
        return FORMATS.get(schema.get("format", ""))
    return None

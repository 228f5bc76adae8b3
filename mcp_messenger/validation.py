"""Validation errors in words that the sender can act on and that repeat no value: values may be secrets."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from mcp_messenger.errors import InvalidInput
from providers.base import Settings


def describe(error: ValidationError) -> str:
    """Return each wrong field with its problem, without the values."""
    problems = (
        f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {said(one['msg'])}" for one in error.errors(include_url=False, include_input=False)
    )
    return "; ".join(problems) + "."


def said(message: str) -> str:
    """Return a validator's message without pydantic's prefix."""
    return message.removeprefix("Value error, ")


def validated_settings(settings_type: type[Settings], provider: str, values: Mapping[str, Any]) -> Settings:
    """Return the provider's settings. Raises InvalidInput naming each wrong, missing or unknown field."""
    try:
        return settings_type.model_validate(dict(values))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors(include_input=False))
        known = ", ".join(settings_type.model_fields)
        raise InvalidInput(f"These settings do not fit {provider}: {problems}.", hint=f"{provider} takes: {known}.") from None

"""Arguments checked against an operation's input, with an answer that a caller can act on."""

from typing import Any

from pydantic import ValidationError

from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.operation import Input, Operation


def validated(row: Operation, arguments: dict[str, Any]) -> Input:
    """Raises InvalidInput naming every argument that does not fit, and those that would."""
    try:
        return row.input.model_validate(arguments)
    except ValidationError as error:
        fields = ", ".join(name for name in row.input.model_fields if name not in row.input.quiet)
        raise InvalidInput(describe(error), hint=f"{row.name} takes: {fields or 'nothing'}.") from None


def describe(error: ValidationError) -> str:
    """What is wrong with which field, without the values: they may be secrets."""
    problems = (
        f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {said(one['msg'])}" for one in error.errors(include_url=False, include_input=False)
    )
    return "; ".join(problems) + "."


def said(message: str) -> str:
    """A validator's own words, without what pydantic puts before them."""
    return message.removeprefix("Value error, ")

"""Arguments checked against an operation's input, with an answer that a caller can act on."""

from typing import Any

from pydantic import ValidationError

from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.operation import Input, Operation
from mcp_messenger.validation import describe


def validated(row: Operation, arguments: dict[str, Any]) -> Input:
    """Raises InvalidInput naming every argument that does not fit, and those that would."""
    try:
        return row.input.model_validate(arguments)
    except ValidationError as error:
        fields = ", ".join(name for name in row.input.model_fields if name not in row.input.hidden)
        raise InvalidInput(describe(error), hint=f"{row.name} takes: {fields or 'nothing'}.") from None

"""What callers send, whatever it is, is taken or refused; nothing else happens."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mcp_messenger.api.rest.aliases import SPELLED_OF_INSTANCE, SPELLED_OF_MANAGER
from mcp_messenger.api.rest.streams import EVENTS, LOGS
from mcp_messenger.operations.operation import Operation
from mcp_messenger.operations.plain import DEPTH, fault
from mcp_messenger.operations.table import OPERATIONS

ROWS = (*OPERATIONS, *SPELLED_OF_INSTANCE, *SPELLED_OF_MANAGER, EVENTS, LOGS)
TEXT = st.text(st.characters(codec=None), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from(["sandbox", "text", "1", "\0", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def arguments(row: Operation) -> st.SearchStrategy[Any]:
    """Anything at all, or anything under the right names."""
    names = st.sampled_from(sorted(row.input.model_fields) or ["none"])
    return JSON | st.dictionaries(names | TEXT, JSON, max_size=6)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_any_json_is_valid_or_refused(row: Operation, data: st.DataObject) -> None:
    given = data.draw(arguments(row))
    try:
        args = row.input.model_validate(given)
    except ValidationError:
        return
    kept = args.model_dump(mode="json")
    assert fault(kept) is None


def nested(depth: int) -> object:
    value: object = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a\0b", "holds the character NUL (U+0000), which cannot be stored"),
        ({"a": ["\ud83d"]}, "holds half of a surrogate pair, such as half an emoji (\\ud83c), which is no text"),
        ({"\0": 1}, "holds the character NUL (U+0000), which cannot be stored"),
        ([float("nan")], "holds NaN or an infinite number, which JSON does not have"),
        ({"a": float("inf")}, "holds NaN or an infinite number, which JSON does not have"),
        (nested(DEPTH + 1), "is nested too deeply"),
        (nested(100_000), "is nested too deeply"),
        (nested(DEPTH), None),
        ({"text": "Привет 🚀\n\t", "number": -1.5e300, "nothing": None, "yes": True}, None),
    ],
)
def test_what_cannot_be_kept(value: object, words: str | None) -> None:
    assert fault(value) == words

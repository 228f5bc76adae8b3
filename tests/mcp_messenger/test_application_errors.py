import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_messenger.errors import IdempotencyConflict, NoSuchChat, NoSuchInstance, NoSuchMessage, NotReady, PayloadTooLarge, ReadOnly, quoted
from providers.states import InstanceState


def test_what_is_missing_is_named_with_where_to_look() -> None:
    assert str(NoSuchInstance("x")) == "No instance 'x'; call list_instances."
    assert str(NoSuchChat("x")) == "No chat 'x'; call list_chats."
    assert str(NoSuchMessage("x")) == "No message 'x'; call get_messages."


@pytest.mark.parametrize("state", InstanceState)
def test_every_state_has_a_next_step(state: InstanceState) -> None:
    error = NotReady("x", state)
    assert error.state is state
    assert state.value in str(error)
    assert error.hint


def test_a_docstring_is_the_message_and_the_hint_can_be_replaced() -> None:
    assert str(ReadOnly()) == ReadOnly.__doc__
    assert ReadOnly().hint == ReadOnly.next_step
    assert ReadOnly(hint="Ask.").hint == "Ask."
    assert str(PayloadTooLarge(1_000_000)) == "The file is larger than 1,000,000 bytes."


@given(st.text())
def test_what_strangers_wrote_stays_one_short_line(text: str) -> None:
    message = str(IdempotencyConflict(text))
    assert message.isprintable()
    assert len(quoted(text)) < 3000


def test_what_strangers_wrote_cannot_reorder_the_line() -> None:
    assert quoted("a\u202eb\nc\x1b[31m\u2028d") == "'ab c[31m d'"

"""The nouns, whatever strangers put into them."""

import json
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from providers.errors import Forbidden, InvalidRequest, LoggedOut, NotFound, RateLimited, Rejected, WindowClosed
from providers.events import (
    ChatChanged,
    ChatMigrated,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    Need,
    QrCode,
    ReactionChanged,
    ReceiptChanged,
    ReceiptStatus,
    StateChanged,
)
from providers.limits import Limits, TextUnit
from providers.models import Account, Chat, ChatKind, Contact, Draft, Location, Media, MediaKind, Message, MessageKind, Poll, TextFormat, Upload
from providers.states import InstanceState
from providers.text import clean, clean_line

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
ANYTHING = st.text(st.characters(codec=None), max_size=40)
ID = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
TIME = st.datetimes(timezones=st.just(UTC))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3),
    max_leaves=5,
)
LINE = st.none() | ANYTHING

contacts = st.builds(Contact, id=ID, name=ANYTHING, username=LINE, phone=LINE, is_bot=st.booleans())
accounts = st.builds(Account, id=ID, name=ANYTHING, username=LINE, phone=LINE)
chats = st.builds(Chat, id=ID, kind=st.sampled_from(ChatKind), title=ANYTHING, username=LINE, phone=LINE)
places = st.builds(Location, latitude=st.floats(-90, 90, allow_nan=False), longitude=st.floats(-180, 180, allow_nan=False), name=LINE)
polls = st.builds(Poll, question=ANYTHING, options=st.lists(ANYTHING, min_size=2, max_size=4).map(tuple), multiple=st.booleans())
media = st.builds(Media, kind=st.sampled_from(MediaKind), ref=ID, mime=LINE, size=st.none() | st.integers(0), name=LINE)
messages = st.builds(
    Message,
    id=ID,
    chat_id=ID,
    at=TIME,
    outgoing=st.booleans(),
    sender_id=st.none() | ID,
    sender_name=ANYTHING,
    kind=st.sampled_from(MessageKind),
    text=ANYTHING,
    reply_to=st.none() | ID,
    media=st.lists(media, max_size=2).map(tuple),
    location=st.none() | places,
    poll=st.none() | polls,
    raw=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), JSON, max_size=3),
)
codes = st.builds(QrCode, content=ID, sequence=st.integers(1), issued_at=TIME, expires_at=TIME)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(MessageReceived, message=messages, chat=chats, sender=st.none() | contacts, client_id=st.none() | ID),
    st.builds(MessageEdited, chat_id=ID, message_id=ID, text=ANYTHING, at=TIME),
    st.builds(MessageDeleted, chat_id=ID, message_id=ID, at=TIME),
    st.builds(ReactionChanged, chat_id=ID, message_id=ID, sender_id=ID, emojis=st.lists(ANYTHING, max_size=3).map(tuple), at=TIME),
    st.builds(ReceiptChanged, chat_id=ID, message_id=ID, status=st.sampled_from(ReceiptStatus), at=TIME, detail=LINE),
    st.builds(ChatChanged, chat=chats),
    st.builds(ChatMigrated, old_id=ID, chat=chats),
    st.builds(
        StateChanged,
        state=st.sampled_from(InstanceState),
        reason=LINE,
        needs=st.sampled_from(Need),
        qr=st.none() | codes,
        pairing_code=st.none() | ID,
        account=st.none() | accounts,
    ),
)


@given(events)
def test_every_event_comes_back_from_json_as_it_was(event: Event) -> None:
    assert EVENT.validate_json(EVENT.dump_json(event)) == event
    assert EVENT.validate_python(json.loads(json.dumps(EVENT.dump_python(event, mode="json")))) == event


@given(messages, chats)
def test_what_strangers_wrote_is_clean_wherever_it_stands(message: Message, chat: Chat) -> None:
    assert (message.text, message.sender_name) == (clean(message.text), clean_line(message.sender_name))
    assert chat.title == clean_line(chat.title)
    for one in message.media:
        assert one.name is None or one.name == clean_line(one.name)
    if message.poll is not None:
        assert message.poll.options == tuple(map(clean, message.poll.options))


@given(st.binary(max_size=300), ID)
def test_a_draft_with_a_file_comes_back_from_json_and_does_not_show_it(content: bytes, client_id: str) -> None:
    upload = Upload(kind=MediaKind.IMAGE, content=content, mime="image/png", name="a.png")
    draft = Draft(client_id=client_id, chat_id="ann", text="look", format=TextFormat.MARKDOWN, upload=upload, extra={"parse_mode": "HTML"})
    assert Draft.model_validate_json(draft.model_dump_json()) == draft
    assert "content" not in repr(upload)


def test_what_logs_someone_in_is_not_shown() -> None:
    state = StateChanged(state=InstanceState.QR_READY, pairing_code="ABCD-1234")
    assert "ABCD-1234" not in repr(state)
    assert "ABCD-1234" in state.model_dump_json()


@given(st.text(st.characters(codec="utf-8")))
def test_lengths_are_counted_as_the_platforms_do(text: str) -> None:
    assert TextUnit.CHARACTERS.length(text) == len(text)
    assert TextUnit.UTF16.length(text) == sum(2 if ord(character) > 0xFFFF else 1 for character in text)
    assert TextUnit.BYTES.length(text) == len(text.encode())


def test_limits_come_back_from_json() -> None:
    limits = Limits(max_text=1000, text_unit=TextUnit.BYTES)
    assert Limits.model_validate_json(limits.model_dump_json()) == limits


def test_a_refusal_in_words_that_are_new_still_names_a_next_step() -> None:
    refusals = [kind("HOLOGRAM_FORBIDDEN") for kind in (Rejected, NotFound, Forbidden, InvalidRequest, WindowClosed, LoggedOut)]
    assert all(error.hint for error in [*refusals, RateLimited(5)])
    assert NotFound("no such page", hint="Look at the other page.").hint == "Look at the other page."

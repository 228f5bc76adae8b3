"""What goes out to WhatsApp."""

from typing import Any

import pytest

from providers.capabilities import Capability
from providers.errors import InvalidRequest, MessengerError, NotFound, RateLimited, Unreachable
from providers.meta.whatsapp_official.provider import WhatsAppOfficialProvider
from providers.models import Choice, Contact, Location, Media, MediaKind, Upload
from providers.templates import TemplateButton, TemplateUse
from tests.providers.harness import PICTURE
from tests.providers.meta_station import Station
from tests.standins.graph_api import WhatsAppNumber
from tests.standins.graph_api.account import Person
from tests.standins.graph_api.refusal import Refusal
from tests.standins.graph_api.whatsapp import template

pytestmark = pytest.mark.anyio

Numbers = Station[WhatsAppNumber]


def upload(kind: MediaKind, size: int = 3, mime: str = "application/octet-stream") -> Upload:
    return Upload(kind=kind, content=b"x" * size, mime=mime, name="file.bin")


@pytest.mark.parametrize("written", ["16505551234", "+16505551234", "+1 (650) 555-1234", "0016505551234"])
async def test_a_number_is_taken_however_it_is_written(station: Numbers, written: str) -> None:
    ann = station.account.person(phone="16505551234")
    assert WhatsAppOfficialProvider.address(written) == ann
    await station.make().send(station.draft(written, "hello"))
    assert station.account.sent[0]["to"] == ann


@pytest.mark.parametrize("id", ["US.13491208655302741918", "Y2FwaV9ncm91cDox", "no number", "12", "1" * 40])
async def test_what_is_no_number_stays_as_it_is(id: str) -> None:
    assert WhatsAppOfficialProvider.address(id) == id


async def test_a_scoped_id_is_a_recipient_and_no_number(station: Numbers) -> None:
    number = station.account
    number.person(phone="16505551234")
    number.people["US.1349"] = Person("16505551234", "Ann", number.people["16505551234"].last_wrote)
    await station.make().send(station.draft("US.1349", "hello"))
    assert number.sent[0]["recipient"] == "US.1349"
    assert "to" not in number.sent[0]


async def test_the_version_is_a_setting(station: Numbers) -> None:
    provider = station.make(api_version="v99.0")
    with pytest.raises(InvalidRequest, match="Unknown path components"):
        await provider.send(station.draft(station.account.person(), "hello"))


@pytest.mark.parametrize(
    ("kind", "sent_as", "content"),
    [
        (MediaKind.IMAGE, "image", {"caption": "look"}),
        (MediaKind.VIDEO, "video", {"caption": "look"}),
        (MediaKind.DOCUMENT, "document", {"caption": "look", "filename": "file.bin"}),
        (MediaKind.AUDIO, "audio", {}),
        (MediaKind.VOICE, "audio", {"voice": True}),
        (MediaKind.STICKER, "sticker", {}),
    ],
)
async def test_each_kind_of_file(station: Numbers, kind: MediaKind, sent_as: str, content: dict[str, Any]) -> None:
    provider, ann = station.make(), station.account.person()
    draft = station.draft(ann, "look" if content.get("caption") else "", upload=upload(kind))
    provider.check(draft)
    sent = await provider.send(draft)
    body = station.account.sent[0]
    assert body["type"] == sent_as
    assert body[sent_as] == {"id": sent.media[0].ref, **content}


@pytest.mark.parametrize(
    ("kind", "size"), [(MediaKind.IMAGE, 5 * 2**20), (MediaKind.VIDEO, 16 * 2**20), (MediaKind.VOICE, 16 * 2**20), (MediaKind.STICKER, 500 * 2**10)]
)
async def test_a_file_that_is_too_large_for_its_kind_is_not_uploaded(station: Numbers, kind: MediaKind, size: int) -> None:
    provider = station.make()
    provider.check(station.draft("16505551234", upload=upload(kind, size)))
    with pytest.raises(InvalidRequest, match=f"{size + 1} bytes"):
        provider.check(station.draft("16505551234", upload=upload(kind, size + 1)))


@pytest.mark.parametrize("file", [{"link": "https://shop.example/a.jpg"}, {"id": "1001"}])
async def test_a_file_by_link_or_id_goes_as_extra_with_the_text_as_caption(station: Numbers, file: dict[str, str]) -> None:
    provider, ann = station.make(), station.account.person()
    station.account.store(b"a", "a.jpg", "image/jpeg")
    file = {"id": next(iter(station.account.files))} if "id" in file else file
    draft = station.draft(ann, "look", extra={"image": file})
    provider.check(draft)
    await provider.send(draft)
    assert station.account.sent[0]["image"] == {**file, "caption": "look"}


async def test_a_link_preview_can_be_left_out(station: Numbers) -> None:
    provider, ann = station.make(), station.account.person()
    await provider.send(station.draft(ann, "https://a.example"))
    await provider.send(station.draft(ann, "https://a.example", extra={"preview_url": False}))
    assert [body["text"]["preview_url"] for body in station.account.sent] == [True, False]


@pytest.mark.parametrize("extra", [{"to": "1"}, {"text": {"body": "other"}}, {"type": "template"}, {"context": {}}])
async def test_extra_does_not_turn_a_message_into_another(station: Numbers, extra: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="extra may"):
        station.make().check(station.draft("16505551234", "x", extra=extra))


@pytest.mark.parametrize(
    "fields",
    [
        {"location": Location(latitude=1, longitude=2)},
        {"contact": Contact(id="", name="Ann", phone="+1")},
        {"template": TemplateUse(name="hello_world", language="en_US")},
        {"upload": upload(MediaKind.VOICE)},
        {"extra": {"template": {"name": "hello_world", "language": {"code": "en_US"}}}},
    ],
)
async def test_no_text_is_dropped_silently(station: Numbers, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="no text"):
        station.make().check(station.draft("16505551234", "and this", **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"extra": {"image": {}, "video": {}}},
        {"upload": upload(MediaKind.IMAGE), "extra": {"video": {"id": "1"}}},
        {"upload": upload(MediaKind.IMAGE), "text": "x", "choices": (Choice(id="a", title="A"),)},
        {"location": Location(latitude=1, longitude=2), "contact": Contact(id="", name="Ann", phone="+1")},
        {"template": TemplateUse(name="hello_world", language="en_US"), "extra": {"interactive": {}}},
    ],
)
async def test_a_message_is_of_one_kind(station: Numbers, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="is one of"):
        station.make().check(station.draft("16505551234", **fields))


def choices(count: int, title: str = "Yes", description: str | None = None) -> tuple[Choice, ...]:
    return tuple(Choice(id=f"c{number}", title=f"{title} {number}", description=description) for number in range(count))


async def test_up_to_three_choices_are_buttons_and_up_to_ten_a_list(station: Numbers) -> None:
    provider, ann = station.make(), station.account.person()
    for options in (choices(3), choices(4), choices(2, description="more of it"), choices(2, title="A title of 20 chars")):
        draft = station.draft(ann, "Well?", choices=options)
        provider.check(draft)
        await provider.send(draft)
    sent = [body["interactive"] for body in station.account.sent]
    assert [content["type"] for content in sent] == ["button", "list", "list", "list"]
    assert [row["id"] for row in sent[1]["action"]["sections"][0]["rows"]] == ["c0", "c1", "c2", "c3"]
    assert sent[2]["action"]["sections"][0]["rows"][0]["description"] == "more of it"
    assert sent[1]["action"]["button"] == "Choose"


async def test_the_button_of_a_list_has_a_word_of_ones_own(station: Numbers) -> None:
    draft = station.draft(station.account.person(), "Well?", choices=choices(4), extra={"button": "Auswählen"})
    await station.make().send(draft)
    assert station.account.sent[0]["interactive"]["action"]["button"] == "Auswählen"


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("x" * 1025, choices(2), "at most 1024"),
        ("x", choices(11), "at most 10"),
        ("x", choices(2, title="x" * 24), "too long"),
        ("x", choices(2, description="x" * 73), "too long"),
    ],
)
async def test_refuses_choices_that_are_not_shown(station: Numbers, text: str, options: tuple[Choice, ...], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        station.make().check(station.draft("16505551234", text, choices=options))


async def test_a_template_goes_out_where_the_window_is_closed(station: Numbers) -> None:
    provider, ann = station.make(), station.account.person()
    station.account.close_window(ann)
    use = TemplateUse(name="order_ready", language="en", parameters=("Ann", "42"))
    sent = await provider.send(station.draft(ann, template=use))
    assert station.account.messages[sent.id]["seen"]["text"] == "Hello Ann, your order 42 is ready."


async def test_a_template_takes_components_of_ones_own(station: Numbers) -> None:
    component = {"type": "body", "parameters": [{"type": "text", "text": "Ann"}, {"type": "text", "text": "7"}]}
    draft = station.draft(
        station.account.person(), template=TemplateUse(name="order_ready", language="en"), extra={"template": {"components": [component]}}
    )
    await station.make().send(draft)
    assert station.account.sent[0]["template"]["components"] == [component]


RICH: list[dict[str, Any]] = [
    {"type": "HEADER", "format": "IMAGE"},
    {"type": "BODY", "text": "Hello {{name}}, {{item}} is ready."},
    {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Track", "url": "https://example.org/{{1}}"}, {"type": "QUICK_REPLY", "text": "Thanks"}]},
]


async def test_a_template_has_a_picture_names_and_buttons(station: Numbers) -> None:
    station.account.templates.append(template("rich", "en", "") | {"components": RICH})
    provider, ann = station.make(), station.account.person()
    listed = (await provider.list_templates())[-1]
    assert (listed.header, listed.buttons) == ("image", ("url Track https://example.org/{{1}}", "quick_reply Thanks"))
    buttons = (TemplateButton(index=0, value="42"), TemplateButton(index=1, kind="quick_reply", value="thanks-42"))
    use = TemplateUse(name="rich", language="en", named={"name": "Ann", "item": "it"}, buttons=buttons)
    draft = station.draft(ann, template=use, upload=PICTURE)
    provider.check(draft)
    sent = await provider.send(draft)
    assert station.account.messages[sent.id]["seen"]["text"] == "Hello Ann, it is ready."
    with pytest.raises(MessengerError, match="#132012"):
        await provider.send(station.draft(ann, template=use))
    with pytest.raises(MessengerError, match="#131008"):
        await provider.send(draft.model_copy(update={"template": use.model_copy(update={"buttons": ()})}))


@pytest.mark.parametrize(
    ("use", "upload"),
    [
        (TemplateUse(name="rich", language="en", named={"name": "Ann"}, parameters=("Ann",)), None),
        (TemplateUse(name="rich", language="en", header="Ann"), PICTURE),
        (TemplateUse(name="rich", language="en"), PICTURE.model_copy(update={"kind": MediaKind.STICKER})),
    ],
)
async def test_a_template_that_no_template_can_be_is_refused(station: Numbers, use: TemplateUse, upload: Upload | None) -> None:
    with pytest.raises(InvalidRequest, match="template"):
        station.make().check(station.draft("16505551234", template=use, upload=upload))


@pytest.mark.parametrize(("name", "parameters", "kind"), [("nothing", (), NotFound), ("order_ready", ("Ann",), InvalidRequest)])
async def test_a_wrong_template_has_metas_words(station: Numbers, name: str, parameters: tuple[str, ...], kind: type[Exception]) -> None:
    use = TemplateUse(name=name, language="en", parameters=parameters)
    with pytest.raises(kind, match=r"\(#1320"):
        await station.make().send(station.draft(station.account.person(), template=use))


async def test_lists_all_pages_of_templates(station: Numbers) -> None:
    templates = await station.make().list_templates()
    assert [(one.name, one.status) for one in templates] == [("hello_world", "approved"), ("order_ready", "approved")]


async def test_templates_need_the_business_account(station: Numbers) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await station.make(business_account_id=None).list_templates()
    assert "business_account_id" in (caught.value.hint or "")


async def test_typing_marks_the_message_that_it_answers_as_read(station: Numbers) -> None:
    provider, ann = await station.ready(), station.account.person()
    station.account.writes(ann, "one")
    last = station.account.writes(ann, "two")
    await station.inbox.message("two")
    await provider.set_typing(ann, False, last)
    assert not station.account.typing
    await provider.set_typing(ann, True, last)
    assert station.account.typing == {ann}
    assert station.account.read == {last}


async def test_typing_needs_a_message_to_answer(station: Numbers) -> None:
    with pytest.raises(NotFound, match="only as an answer"):
        await station.make().set_typing("16505551234", True)


async def test_a_file_that_expired_is_gone(station: Numbers) -> None:
    provider, file = station.make(), station.account.store(b"x", "a.txt", "text/plain")
    media = Media(kind=MediaKind.DOCUMENT, ref=file.id, name="a.txt")
    assert (await provider.download(media)).content == b"x"
    file.expired = True
    with pytest.raises(NotFound, match="any more"):
        await provider.download(media)


async def test_the_token_goes_to_meta_alone(station: Numbers) -> None:
    provider, file = station.make(), station.account.store(b"x", "a.txt", "text/plain")
    for address in ("https://evil.example/a", "http://lookaside.fbsbx.com/a", "https://fbsbx.com.evil.example/a", "https://notfbsbx.com/a"):
        station.account.address = lambda _, address=address: address  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(NotFound, match="not kept by Meta"):
            await provider.download(Media(kind=MediaKind.DOCUMENT, ref=file.id))


async def test_a_long_text_goes_in_parts_when_asked_and_none_stands_for_all(station: Numbers) -> None:
    provider, text = station.make(), " ".join(["word"] * 2000)
    question = station.account.writes(ann := station.account.person(), "tell me")
    draft = station.draft(ann, text, extra={"split": True}, reply_to=question)
    provider.check(draft)
    sent = await provider.send(draft)
    assert " ".join(body["text"]["body"] for body in station.account.sent) == text
    assert len(sent.parts) == 3
    assert all("context" in body for body in station.account.sent)
    assert not any("biz_opaque_callback_data" in body for body in station.account.sent)


async def test_says_how_much_of_a_split_text_went_out(station: Numbers) -> None:
    provider, ann = station.make(), station.account.person()
    station.account.hold_next("messages").let_go.set()
    station.account.fail_next("messages", Refusal(400, 131056, "(#131056) Pair rate limit hit"))
    with pytest.raises(Unreachable, match=r"1 of 2 messages went out \(wamid\.OUT\d+\), then: .*131056") as caught:
        await provider.send(station.draft(ann, "x " * 3000, extra={"split": True}))
    assert caught.value.maybe_sent
    assert len(station.account.sent) == 1


async def test_a_group_is_written_to_as_a_group(station: Numbers) -> None:
    provider = station.make()
    with pytest.raises(InvalidRequest):
        await provider.send(station.draft("Y2FwaV9ncm91cDoxOD", "hello all"))
    call = station.account.calls_to("messages")[0]
    assert (call.body["recipient_type"], call.body["to"]) == ("group", "Y2FwaV9ncm91cDoxOD")


async def test_a_storm_of_refusals_names_the_wait_each_time(station: Numbers) -> None:
    provider, ann = station.make(), station.account.person()
    for _ in range(20):
        station.account.fail_next("messages", Refusal(429, 130429, "(#130429) Rate limit hit"), {"Retry-After": "3"})
    for _ in range(20):
        with pytest.raises(RateLimited) as caught:
            await provider.send(station.draft(ann, "hello"))
        assert caught.value.retry_after == 3
    assert not station.account.sent
    await provider.send(station.draft(ann, "hello"))
    assert len(station.account.sent) == 1


async def test_a_message_lies_in_the_chat_of_the_number_that_meta_names(station: Numbers) -> None:
    provider, number = station.make(), station.account
    ann = number.person(phone="551187654321")
    number.wa_ids["5511987654321"] = ann
    sent = await provider.send(station.draft("5511987654321", "hello"))
    assert sent.chat_id == ann


async def test_a_number_to_which_meta_gives_no_groups_says_so(station: Numbers) -> None:
    provider = await station.ready()
    assert Capability.GROUPS not in await provider.lacking()
    station.account.may_have_groups = False
    with pytest.raises(MessengerError, match="Groups feature is not enabled"):
        await provider.create_group("Friends", [])
    assert "Groups feature is not enabled" in (await provider.lacking())[Capability.GROUPS]

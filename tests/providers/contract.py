"""What every messenger must do alike.

A messenger's test module defines a fixture `harness`, which returns a `Harness` of its own, and a class that inherits
`ProviderContract`. What the messenger does not declare in `capabilities` is skipped, or tested to be refused.
"""

import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pydantic import SecretStr

from providers import REGISTRY, provider_class
from providers.base import Provider, WebhookRequest
from providers.capabilities import Capability
from providers.errors import Forbidden, InvalidRequest, LoggedOut, NotFound, Rejected, Unreachable, Unsupported
from providers.events import Event, MessageDeleted, MessageEdited, MessageReceived, NoticeReceived, ReactionChanged, ReceiptChanged, StateChanged
from providers.groups import GroupSettings
from providers.models import ChatMarks, Choice, Contact, ControlAction, Draft, Forwarding, Location, Media, MediaKind, Poll, Profile, TextFormat
from providers.states import InstanceState
from providers.templates import TemplateUse
from tests.providers.harness import PICTURE, PNG, Harness, Inbox, Running, Seen, run
from tests.standins.socks import socks_proxy

METHODS: dict[str, Capability] = {
    "list_chats": Capability.CHATS,
    "list_contacts": Capability.CONTACTS,
    "history": Capability.HISTORY,
    "edit": Capability.EDIT,
    "delete": Capability.DELETE,
    "react": Capability.REACT,
    "pin_message": Capability.PIN,
    "star_message": Capability.STAR,
    "mark_chat": Capability.CHAT_MARKS,
    "archive_chat": Capability.ARCHIVE,
    "look_up": Capability.LOOK_UP,
    "block": Capability.BLOCK,
    "list_blocked": Capability.BLOCK_LIST,
    "search": Capability.SEARCH,
    "update_profile": Capability.PROFILE,
    "post_story": Capability.STORIES,
    "set_typing": Capability.TYPING,
    "mark_read": Capability.MARK_READ,
    "download": Capability.DOWNLOAD,
    "list_groups": Capability.GROUPS,
    "create_group": Capability.GROUPS,
    "add_participants": Capability.GROUPS,
    "remove_participants": Capability.GROUPS,
    "set_admin": Capability.GROUP_ADMIN,
    "update_group": Capability.GROUP_ADMIN,
    "invite_link": Capability.GROUP_ADMIN,
    "reset_invite_link": Capability.GROUP_ADMIN,
    "leave_group": Capability.GROUP_ADMIN,
    "set_group": Capability.GROUP_SETTINGS,
    "join_group": Capability.JOIN_GROUPS,
    "list_join_requests": Capability.JOIN_REQUESTS,
    "answer_join_requests": Capability.JOIN_REQUESTS,
    "list_templates": Capability.TEMPLATES,
    "sending_budget": Capability.SENDING_BUDGET,
    "request_pairing_code": Capability.PAIRING_CODE,
    "logout": Capability.LOGOUT,
    "receive_webhook": Capability.WEBHOOK,
    "set_control": Capability.THREAD_CONTROL,
    "preview": Capability.PREVIEW,
}


CHOICES = (Choice(id="t", title="Tea"), Choice(id="c", title="Coffee"))


def call_each(provider: Provider) -> dict[str, Callable[[], Awaitable[object]]]:
    """Every optional method with arguments of the right shape."""
    media = Media(kind=MediaKind.IMAGE, ref="ref")
    return {
        "list_chats": provider.list_chats,
        "list_contacts": provider.list_contacts,
        "history": lambda: provider.history("chat", before=None, limit=1),
        "edit": lambda: provider.edit("chat", "message", "text", TextFormat.PLAIN),
        "delete": lambda: provider.delete("chat", "message"),
        "react": lambda: provider.react("chat", "message", "👍"),
        "pin_message": lambda: provider.pin_message("chat", "message", True),
        "star_message": lambda: provider.star_message("chat", "message", True),
        "mark_chat": lambda: provider.mark_chat("chat", ChatMarks(pinned=True)),
        "archive_chat": lambda: provider.archive_chat("chat", True),
        "look_up": lambda: provider.look_up("+15550100"),
        "block": lambda: provider.block("person", True),
        "list_blocked": provider.list_blocked,
        "search": lambda: provider.search("words", chat_id=None, limit=1),
        "update_profile": lambda: provider.update_profile(Profile(about="here")),
        "post_story": lambda: provider.post_story("text"),
        "set_typing": lambda: provider.set_typing("chat", True),
        "mark_read": lambda: provider.mark_read("chat", "message"),
        "download": lambda: provider.download(media),
        "list_groups": provider.list_groups,
        "create_group": lambda: provider.create_group("title", ["person"]),
        "add_participants": lambda: provider.add_participants("group", ["person"]),
        "remove_participants": lambda: provider.remove_participants("group", ["person"]),
        "set_admin": lambda: provider.set_admin("group", ["person"], True),
        "update_group": lambda: provider.update_group("group", "title", None),
        "invite_link": lambda: provider.invite_link("group"),
        "reset_invite_link": lambda: provider.reset_invite_link("group"),
        "leave_group": lambda: provider.leave_group("group"),
        "set_group": lambda: provider.set_group("group", GroupSettings(only_admins_write=True)),
        "join_group": lambda: provider.join_group("link"),
        "list_join_requests": lambda: provider.list_join_requests("group"),
        "answer_join_requests": lambda: provider.answer_join_requests("group", ["person"], True),
        "list_templates": provider.list_templates,
        "sending_budget": provider.sending_budget,
        "request_pairing_code": lambda: provider.request_pairing_code("+15550100"),
        "logout": provider.logout,
        "receive_webhook": lambda: provider.receive_webhook(WebhookRequest("POST", {}, {}, b"{}")),
        "preview": lambda: provider.preview("chat", "so far", number=1),
        "set_control": lambda: provider.set_control("chat", ControlAction.TAKE),
    }


def special_drafts() -> dict[Capability, dict[str, object]]:
    """What a draft holds that needs a capability."""
    return {
        Capability.REPLY: {"text": "hello", "reply_to": "message"},
        Capability.MEDIA: {"upload": PICTURE},
        Capability.POLL: {"poll": Poll(question="Tea?", options=("yes", "no"))},
        Capability.LOCATION: {"location": Location(latitude=52.5, longitude=13.4)},
        Capability.CONTACT: {"contact": Contact(id="", name="Ann Lee", phone="+15550101")},
        Capability.CHOICES: {"text": "Tea?", "choices": CHOICES},
        Capability.TEMPLATES: {"template": TemplateUse(name="hello", language="en")},
        Capability.THREADS: {"text": "hello", "thread_id": "thread"},
        Capability.FORMATTING: {"text": "**hello**", "format": TextFormat.MARKDOWN},
        Capability.FORWARD: {"text": "hello", "forward": Forwarding(chat_id="chat", message_id="message")},
    }


class ProviderContract:
    """Inherit it, and define the fixture `harness` beside it."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    async def running(self, harness: Harness) -> AsyncIterator[Running]:
        inbox = Inbox()
        provider = await run(harness, inbox)
        yield Running(harness, provider, inbox)
        await provider.stop()

    async def test_is_registered_under_its_own_name(self, harness: Harness) -> None:
        provider = type(harness.create())
        assert provider.name in REGISTRY
        assert provider_class(provider.name) is provider

    async def test_overrides_exactly_what_it_declares(self, harness: Harness) -> None:
        provider = type(harness.create())
        overridden = {capability for method, capability in METHODS.items() if getattr(provider, method) is not getattr(Provider, method)}
        assert overridden == set(METHODS.values()) & provider.capabilities

    async def test_says_unsupported_for_what_it_does_not_declare(self, harness: Harness) -> None:
        provider = harness.create()
        for method, call in call_each(provider).items():
            if METHODS[method] not in provider.capabilities:
                with pytest.raises(Unsupported, match=f"{provider.name} cannot do this: {METHODS[method]}"):
                    await call()

    async def test_check_takes_and_refuses_drafts_by_what_is_declared(self, harness: Harness) -> None:
        provider = harness.create()
        for capability, fields in special_drafts().items():
            draft = Draft.model_validate({"client_id": capability, "chat_id": harness.chat_id, **fields})
            if capability in provider.capabilities:
                provider.check(draft)
            else:
                with pytest.raises(Unsupported):
                    provider.check(draft)

    async def test_check_refuses_a_text_that_is_one_too_long_and_names_the_unit(self, harness: Harness) -> None:
        provider = harness.create()
        longest = "x" * provider.limits.max_text
        provider.check(Draft(client_id="fits", chat_id=harness.chat_id, text=longest))
        with pytest.raises(InvalidRequest, match=f"{provider.limits.max_text + 1} {provider.limits.text_unit}"):
            provider.check(Draft(client_id="does-not-fit", chat_id=harness.chat_id, text=longest + "x"))

    async def test_shows_no_secret(self, harness: Harness) -> None:
        provider = harness.create()
        dumped = harness.settings.model_dump()
        secrets = [dumped[name] for name in harness.settings.secret_fields() if dumped[name] is not None]
        assert all(isinstance(secret, SecretStr) for secret in secrets)
        for secret in secrets:
            assert secret.get_secret_value() not in f"{harness.settings!r} {harness.settings} {provider!r} {provider.state!r} {dumped}"

    async def test_starts_step_by_step_and_says_who_it_is(self, running: Running) -> None:
        order = [InstanceState.STARTING, InstanceState.QR_READY, InstanceState.AUTHENTICATED, InstanceState.READY]
        states = running.inbox.states()
        assert states[0] is InstanceState.STARTING
        assert states[-1] is InstanceState.READY
        assert states == sorted(states, key=order.index)
        assert (InstanceState.QR_READY in states) == (Capability.QR_LOGIN in running.provider.capabilities)
        assert running.provider.state == (await running.inbox.state(InstanceState.READY))
        assert running.provider.state.account == await running.provider.account()

    async def test_stops_before_start_and_twice(self, harness: Harness) -> None:
        provider = harness.create()
        await provider.stop()
        await provider.stop()
        assert provider.state.state is InstanceState.STOPPED
        with pytest.raises(LoggedOut):
            await provider.account()

    async def test_delivers_nothing_after_stop(self, running: Running) -> None:
        await running.provider.stop()
        taken = len(running.inbox.events)
        await running.harness.write("too late")
        await running.provider.stop()
        assert len(running.inbox.events) == taken
        assert running.provider.state.state is InstanceState.STOPPED

    async def test_starts_again_without_a_new_login(self, running: Running) -> None:
        account = await running.provider.account()
        await running.provider.stop()
        inbox = Inbox()
        again = running.harness.create()
        await again.start(inbox.deliver)
        await inbox.state(InstanceState.READY)
        assert InstanceState.QR_READY not in inbox.states()
        assert (await again.account()).id == account.id
        await again.stop()

    async def test_what_was_written_while_it_was_away_arrives(self, running: Running) -> None:
        await running.provider.stop()
        message_id = await running.harness.write("are you there?")
        inbox = Inbox()
        again = await run(running.harness, inbox)
        assert (await inbox.message("are you there?")).message.id == message_id
        await again.stop()

    async def test_sends_a_text(self, running: Running) -> None:
        sent = await running.provider.send(running.draft("Good morning 👋"))
        assert (await running.harness.seen(sent.id)).text == "Good morning 👋"
        assert sent.chat_id == running.harness.chat_id
        assert sent.at.tzinfo is not None

    async def test_gives_every_message_an_id_of_its_own(self, running: Running) -> None:
        ids = [(await running.provider.send(running.draft(f"number {number}"))).id for number in range(3)]
        ids += [await running.harness.write(f"answer {number}") for number in range(3)]
        assert len(set(ids)) == 6

    async def test_names_what_it_cannot_do_as_it_is_set_up(self, running: Running) -> None:
        lacking = await running.provider.lacking()
        assert lacking.keys() == running.harness.lacking
        assert all(lacking.values())

    async def test_does_not_send_an_empty_message(self, running: Running) -> None:
        with pytest.raises(Rejected):
            await running.provider.send(running.draft(""))

    async def test_names_the_next_step_for_an_unknown_chat(self, running: Running) -> None:
        with pytest.raises(NotFound) as caught:
            await running.provider.send(Draft(client_id="lost", chat_id=running.harness.unknown_chat_id, text="hello"))
        assert "list_chats" in f"{caught.value.detail} {caught.value.hint}"

    async def test_receives_a_message_with_who_and_where(self, running: Running) -> None:
        message_id = await running.harness.write("hello agent")
        event = await running.inbox.message("hello agent")
        assert (event.message.id, event.message.chat_id, event.chat.id) == (message_id, running.harness.chat_id, running.harness.chat_id)
        assert event.message.sender_id == running.harness.person_id
        assert event.sender is not None
        assert event.sender.id == running.harness.person_id
        assert not event.message.outgoing
        assert not event.backfill
        assert event.message.at.tzinfo is not None

    async def test_cleans_what_strangers_write(self, running: Running) -> None:
        message_id = await running.harness.write("pay\u202eeciovni\u202c to\x07 \u2066me\U000e0041 \N{WAVING HAND SIGN}\u200d")
        event = await running.inbox.wait(MessageReceived, lambda event: event.message.id == message_id)
        assert event.message.text.rstrip("\u200d") == "payeciovni to me \N{WAVING HAND SIGN}"

    async def test_a_part_that_cannot_be_read_costs_no_message(self, running: Running) -> None:
        """A platform may change a part of its messages any day."""
        try:
            message_id = await running.harness.write_misshapen("the words stay")
        except NotImplementedError:
            pytest.skip("what comes in is always of our own form")
        event = await running.inbox.wait(MessageReceived, lambda event: event.message.id == message_id)
        assert "the words stay" in event.message.text
        assert (event.message.chat_id, event.message.sender_id) == (running.harness.chat_id, running.harness.person_id)
        assert event.message.raw
        await running.harness.write("and this comes after it")
        await running.inbox.message("and this comes after it")

    async def test_what_nobody_can_read_keeps_back_nothing_that_follows(self, running: Running) -> None:
        try:
            await running.harness.bring_strange()
        except NotImplementedError:
            pytest.skip("what comes in is always of our own form")
        message_id = await running.harness.write("and then words")
        assert (await running.inbox.message("and then words")).message.id == message_id
        assert running.provider.state.state is InstanceState.READY
        assert any(isinstance(event, NoticeReceived) and event.code.startswith("unread") for event in running.inbox.events)

    async def test_delivers_again_what_was_not_taken(self, running: Running) -> None:
        running.inbox.refuse(1)
        message_id = await running.harness.write("important")
        event = await running.inbox.message("important")
        assert event.message.id == message_id
        assert event in running.inbox.refused

    async def test_counts_and_logs_with_the_reason_what_it_makes_nothing_of(self, running: Running, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO", logger="providers.kit.left_out")
        try:
            await running.harness.bring_nothing()
        except NotImplementedError:
            pytest.skip("the stand-in brings nothing that is left out")
        await running.harness.write("and this is news")
        await running.inbox.message("and this is news")
        told = [line for line in caplog.messages if line.startswith("Left out of what ")]
        assert told
        assert all(re.fullmatch(r"Left out of what .+ brings: .+, .+ \(\d+ so far\)\.", line) for line in told)

    async def test_delivers_in_the_order_of_writing(self, running: Running) -> None:
        texts = [f"line {number}" for number in range(20)]
        for text in texts:
            await running.harness.write(text)
        await running.inbox.message(texts[-1])
        received = [event.message.text for event in running.inbox.events if isinstance(event, MessageReceived)]
        assert [text for text in received if text in texts] == texts

    async def test_replies_both_ways(self, running: Running) -> None:
        running.need(Capability.REPLY)
        question = await running.harness.write("who?")
        await running.inbox.message("who?")
        sent = await running.provider.send(running.draft("me", reply_to=question))
        assert (await running.harness.seen(sent.id)).reply_to == question
        await running.harness.write("fine", reply_to=sent.id)
        assert (await running.inbox.message("fine")).message.reply_to == sent.id

    async def test_sends_and_downloads_a_file(self, running: Running) -> None:
        running.need(Capability.MEDIA)
        sent = await running.provider.send(running.draft("a dot", upload=PICTURE))
        seen = await running.harness.seen(sent.id)
        assert (seen.text, seen.file) == ("a dot", PNG)
        if Capability.DOWNLOAD in running.provider.capabilities:
            assert (await running.provider.download(sent.media[0])).content == PNG

    async def test_receives_and_downloads_a_file(self, running: Running) -> None:
        running.need(Capability.DOWNLOAD)
        await running.harness.write("look", upload=PICTURE)
        media = (await running.inbox.message("look")).message.media
        assert [one.kind for one in media] == [MediaKind.IMAGE]
        assert media[0].size in {None, len(PNG)}
        assert (await running.provider.download(media[0])).content == PNG

    async def test_does_not_download_what_is_not_there(self, running: Running) -> None:
        running.need(Capability.DOWNLOAD)
        with pytest.raises(NotFound):
            await running.provider.download(Media(kind=MediaKind.IMAGE, ref="no-such-file"))

    async def test_sends_a_location(self, running: Running) -> None:
        running.need(Capability.LOCATION)
        sent = await running.provider.send(running.draft(location=Location(latitude=52.5, longitude=-13.25)))
        place = (await running.harness.seen(sent.id)).location
        assert place is not None
        assert (place.latitude, place.longitude) == (52.5, -13.25)

    async def test_sends_a_poll(self, running: Running) -> None:
        running.need(Capability.POLL)
        poll = Poll(question="Tea?", options=("yes", "no"), multiple=True)
        sent = await running.provider.send(running.draft(poll=poll))
        assert (await running.harness.seen(sent.id)).poll == poll

    async def test_sends_a_contact_card(self, running: Running) -> None:
        running.need(Capability.CONTACT)
        sent = await running.provider.send(running.draft(contact=Contact(id="", name="Ann Lee", phone="+15550101")))
        card = (await running.harness.seen(sent.id)).contact
        assert card is not None
        assert (card.name, card.phone) == ("Ann Lee", "+15550101")

    async def test_sends_choices_and_tells_which_was_picked(self, running: Running) -> None:
        running.need(Capability.CHOICES)
        sent = await running.provider.send(running.draft("Tea?", choices=CHOICES))
        assert await running.harness.choices(sent.id) == {"t": "Tea", "c": "Coffee"}
        await running.harness.choose(sent.id, "c")
        event = await running.inbox.wait(MessageReceived, lambda event: event.message.chosen is not None)
        assert (event.message.chosen, event.message.text, event.message.reply_to) == ("c", "Coffee", sent.id)

    async def test_sends_a_template_that_it_lists(self, running: Running) -> None:
        running.need(Capability.TEMPLATES)
        template = next(one for one in await running.provider.list_templates() if one.text.count("{{") == 2)
        use = TemplateUse(name=template.name, language=template.language, parameters=("Ann", "42"))
        sent = await running.provider.send(running.draft(template=use))
        said = template.text.replace("{{1}}", "Ann").replace("{{2}}", "42")
        assert (await running.harness.seen(sent.id)).text == said
        with pytest.raises(Rejected):
            await running.provider.send(running.draft(template=TemplateUse(name="no-such-template", language="en")))

    async def test_tells_its_sending_budget(self, running: Running) -> None:
        running.need(Capability.SENDING_BUDGET)
        budget = await running.provider.sending_budget()
        assert 0 <= budget.begun <= budget.allowed <= budget.allowed_after_warm_up
        assert (budget.locked_until, budget.next_at) == (None, None)

    async def test_refuses_a_field_of_extra_that_it_does_not_know_and_names_it(self, harness: Harness) -> None:
        with pytest.raises(InvalidRequest, match="unheard_of"):
            harness.create().check(Draft(client_id="1", chat_id=harness.chat_id, text="hello", extra={"unheard_of": True}))

    async def test_reports_each_state_once(self, running: Running) -> None:
        for number in range(3):
            await running.harness.write(f"state {number}")
            await running.inbox.message(f"state {number}")
        told = [event for event in running.inbox.events if isinstance(event, StateChanged)]
        assert all(one != later for one, later in itertools.pairwise(told))

    async def test_delivers_until_it_is_taken(self, running: Running) -> None:
        running.inbox.refuse(3)
        await running.harness.write("again and again")
        event = await running.inbox.message("again and again")
        assert running.inbox.refused.count(event) == 3

    async def test_splits_a_long_text_into_parts_that_all_reply_and_keep_their_code(self, running: Running) -> None:
        running.need(Capability.REPLY)
        question = await running.harness.write("tell me everything")
        await running.inbox.message("tell me everything")
        parts = await self._split(running, reply_to=question)
        assert [part.reply_to for part in parts] == [question] * 3

    async def test_splits_a_long_text_into_parts_that_all_stay_in_the_thread(self, running: Running) -> None:
        running.need(Capability.THREADS)
        thread = await running.harness.thread()
        parts = await self._split(running, thread_id=thread)
        assert [part.thread_id for part in parts] == [thread] * 3

    async def test_a_part_that_is_refused_in_the_middle_leaves_the_send_open_and_says_what_went_out(self, running: Running) -> None:
        """Such a send is never repeated by itself: its beginning would go out twice."""
        await running.harness.refuse_second_send()
        word = "word "
        text = "".join(f"{word}{number} " for number in range(running.provider.limits.max_text // 4))
        draft = running.draft(text, extra={"split": True})
        running.provider.check(draft)
        with pytest.raises(Unreachable) as caught:
            await running.provider.send(draft)
        assert caught.value.maybe_sent
        told = re.search(r"^1 of [2-9] messages went out \((\S+)\), then: .+ begins with “(.+)”\.$", str(caught.value))
        assert told is not None, str(caught.value)
        begun = (await running.harness.seen(told[1])).text.strip()
        assert text.startswith(begun)
        assert text[len(begun) :].strip().startswith(told[2].rstrip("…"))

    async def _split(self, running: Running, **fields: object) -> list[Seen]:
        """Send a text with a code block that goes over three messages. Return them as the platform holds them."""
        line = "a line of code 0123456789\n"
        lines = running.provider.limits.max_text * 9 // 4 // len(line)
        has_format = Capability.FORMATTING in running.provider.capabilities
        draft = running.draft(
            f"Before.\n\n```python\n{line * lines}```\n\nAfter.", format="markdown" if has_format else "plain", extra={"split": True}, **fields
        )
        running.provider.check(draft)
        sent = await running.provider.send(draft)
        assert sent.id == sent.parts[0]
        parts = [await running.harness.seen(part) for part in sent.parts]
        assert sum(part.text.count(line.strip()) for part in parts) == lines
        assert all(part.text.count("```") % 2 == 0 for part in parts)
        return parts

    async def test_goes_out_through_the_socks_proxy_of_the_environment(self, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
        if not harness.reaches_out:
            pytest.skip("no connection of its own")
        async with socks_proxy() as proxy:
            for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv("ALL_PROXY", proxy.url)
            inbox = Inbox()
            provider = await run(harness, inbox)
            sent = await provider.send(Draft(client_id="1", chat_id=harness.chat_id, text="by way of the proxy"))
            assert (await harness.seen(sent.id)).text == "by way of the proxy"
            assert proxy.targets
            await provider.stop()

    async def test_a_proxy_that_cannot_be_used_is_a_state_that_names_it(self, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
        if not harness.reaches_out:
            pytest.skip("no connection of its own")
        for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("ALL_PROXY", "socks4://127.0.0.1:9")
        provider, inbox = harness.create(), Inbox()
        await provider.start(inbox.deliver)
        state = await inbox.state(InstanceState.ERROR)
        assert "ALL_PROXY" in (state.reason or "")
        assert "SOCKS5" in (state.reason or "")
        await provider.stop()

    async def test_writes_in_a_thread(self, running: Running) -> None:
        running.need(Capability.THREADS)
        thread_id = await running.harness.thread()
        sent = await running.provider.send(running.draft("in here", thread_id=thread_id))
        assert (await running.harness.seen(sent.id)).thread_id == thread_id

    async def test_edits_its_message(self, running: Running) -> None:
        running.need(Capability.EDIT)
        sent = await running.provider.send(running.draft("first"))
        await running.provider.edit(sent.chat_id, sent.id, "second", TextFormat.PLAIN)
        assert (await running.harness.seen(sent.id)).text == "second"

    async def test_deletes_its_message(self, running: Running) -> None:
        running.need(Capability.DELETE)
        sent = await running.provider.send(running.draft("a slip"))
        await running.provider.delete(sent.chat_id, sent.id)
        assert (await running.harness.seen(sent.id)).deleted

    async def test_reacts_and_takes_it_back(self, running: Running) -> None:
        running.need(Capability.REACT)
        message_id = await running.harness.write("good news")
        await running.inbox.message("good news")
        await running.provider.react(running.harness.chat_id, message_id, "👍")
        assert (await running.harness.seen(message_id)).reaction == "👍"
        await running.provider.react(running.harness.chat_id, message_id, None)
        assert (await running.harness.seen(message_id)).reaction is None

    async def test_pins_a_message_and_takes_the_pin_off(self, running: Running) -> None:
        running.need(Capability.PIN)
        message_id = await running.harness.write("the plan")
        event = await running.inbox.message("the plan")
        for pinned in (True, True, False, False):
            await running.provider.pin_message(event.chat.id, message_id, pinned)
            assert (await running.harness.seen(message_id)).pinned == pinned

    async def test_forwards_a_message_as_such(self, running: Running) -> None:
        running.need(Capability.FORWARD)
        message_id = await running.harness.write("pass it on")
        event = await running.inbox.message("pass it on")
        sent = await running.provider.send(running.draft("pass it on", forward=Forwarding(chat_id=event.chat.id, message_id=message_id)))
        seen = await running.harness.seen(sent.id)
        assert (seen.text, seen.forwarded, sent.id != message_id) == ("pass it on", True, True)

    async def test_shows_that_it_is_typing(self, running: Running) -> None:
        running.need(Capability.TYPING)
        message_id = await running.harness.write("are you there?")
        await running.inbox.message("are you there?")
        await running.provider.set_typing(running.harness.chat_id, True, message_id)
        assert await running.harness.is_typing()

    async def test_marks_as_read(self, running: Running) -> None:
        running.need(Capability.MARK_READ)
        message_id = await running.harness.write("read me")
        await running.inbox.message("read me")
        await running.provider.mark_read(running.harness.chat_id, message_id)
        assert (await running.harness.seen(message_id)).read

    async def test_reports_edits_of_the_other_side(self, running: Running) -> None:
        self._reported(running, MessageEdited)
        message_id = await running.harness.write("helo")
        await running.harness.edit(message_id, "hello\u202e")
        event = await running.inbox.wait(MessageEdited)
        assert (event.chat_id, event.message_id, event.text) == (running.harness.chat_id, message_id, "hello")

    async def test_reports_deletions_of_the_other_side(self, running: Running) -> None:
        self._reported(running, MessageDeleted)
        message_id = await running.harness.write("oops")
        await running.harness.delete(message_id)
        assert (await running.inbox.wait(MessageDeleted)).message_id == message_id

    async def test_reports_reactions_of_the_other_side(self, running: Running) -> None:
        self._reported(running, ReactionChanged)
        sent = await running.provider.send(running.draft("nice?"))
        await running.harness.react(sent.id, "👍")
        event = await running.inbox.wait(ReactionChanged, lambda event: event.emojis == ("👍",))
        assert (event.message_id, event.sender_id) == (sent.id, running.harness.person_id)
        await running.harness.react(sent.id, None)
        await running.inbox.wait(ReactionChanged, lambda event: event.emojis == () and event.message_id == sent.id)

    async def test_reports_how_far_its_messages_got(self, running: Running) -> None:
        self._reported(running, ReceiptChanged)
        assert Capability.RECEIPTS in running.provider.capabilities
        sent = await running.provider.send(running.draft("anybody?"))
        event = await running.inbox.wait(ReceiptChanged)
        assert (event.chat_id, event.message_id) == (sent.chat_id, sent.id)

    def _reported(self, running: Running, event: type[Event]) -> None:
        if event not in running.harness.reports:
            pytest.skip(f"{running.provider.title} does not tell of {event.__name__}")

    async def test_lists_chats_and_contacts(self, running: Running) -> None:
        await running.harness.write("I exist")
        await running.inbox.message("I exist")
        if Capability.CHATS in running.provider.capabilities:
            assert running.harness.chat_id in {chat.id for chat in await running.provider.list_chats()}
        if Capability.CONTACTS in running.provider.capabilities:
            assert running.harness.person_id in {contact.id for contact in await running.provider.list_contacts()}

    async def test_nobody_is_in_the_address_book_because_they_wrote(self, running: Running) -> None:
        await running.harness.write("let me in")
        heard = await running.inbox.message("let me in")
        assert heard.sender is None or not heard.sender.is_saved
        assert running.harness.is_saved <= running.provider.has_address_book
        if Capability.CONTACTS in running.provider.capabilities:
            saved = {contact.id for contact in await running.provider.list_contacts() if contact.is_saved}
            assert (running.harness.person_id in saved) is running.harness.is_saved
            assert not saved or running.provider.has_address_book

    async def test_reads_history_newest_first_and_page_by_page(self, running: Running) -> None:
        running.need(Capability.HISTORY)
        for number in range(5):
            await running.harness.write(f"page {number}")
        newest = await running.provider.history(running.harness.chat_id, before=None, limit=2)
        assert [message.text for message in newest] == ["page 4", "page 3"]
        older = await running.provider.history(running.harness.chat_id, before=newest[-1].id, limit=2)
        assert [message.text for message in older] == ["page 2", "page 1"]

    async def test_reads_a_thread_by_its_id(self, running: Running) -> None:
        running.need(Capability.THREADS)
        running.need(Capability.HISTORY)
        thread = await running.harness.thread()
        answers = [(await running.provider.send(running.draft(f"in here {number}", thread_id=thread))).id for number in range(3)]
        outside = (await running.provider.send(running.draft("out here"))).id
        newest = [message.id for message in await running.provider.history(thread, before=None, limit=2)]
        assert newest == answers[:0:-1]
        older = [message.id for message in await running.provider.history(thread, before=newest[-1], limit=5)]
        assert older[0] == answers[0]
        assert outside not in older

    async def test_searches_where_it_was_written(self, running: Running) -> None:
        running.need(Capability.SEARCH)
        wanted = await running.harness.write("the pelican flies at noon")
        await running.harness.write("the heron stays")
        await running.inbox.message("the heron stays")
        for chat_id in (None, running.harness.chat_id):
            (found,) = await running.provider.search("pelican noon", chat_id=chat_id, limit=5)
            assert (found.message.id, found.message.text, found.chat.id) == (wanted, "the pelican flies at noon", running.harness.chat_id)
            assert found.message.sender_id == running.harness.person_id
        assert await running.provider.search("albatross", chat_id=None, limit=5) == []

    async def test_blocks_a_person_and_lists_who_is_blocked(self, running: Running) -> None:
        running.need(Capability.BLOCK_LIST)
        await running.harness.write("buy this!")
        await running.inbox.message("buy this!")
        await running.provider.block(running.harness.person_id, True)
        assert await running.provider.list_blocked() == [running.harness.person_id]
        await running.provider.block(running.harness.person_id, False)
        assert await running.provider.list_blocked() == []

    async def test_archives_a_chat_and_takes_it_out(self, running: Running) -> None:
        running.need(Capability.ARCHIVE)
        for archived in (True, True, False, False):
            await running.provider.archive_chat(running.harness.archivable, archived)
            assert await running.harness.is_archived() == archived

    async def test_lets_people_into_a_group_who_ask(self, running: Running) -> None:
        running.need(Capability.JOIN_REQUESTS)
        running.need(Capability.GROUPS)
        group = (await running.provider.create_group("Friends", [running.harness.companion])).group
        person = running.harness.asker_id
        await running.harness.ask_to_join(group.id)
        assert person in [request.person.id for request in await running.provider.list_join_requests(group.id)]
        answered = await running.provider.answer_join_requests(group.id, [person], True)
        assert [(result.id, result.ok) for result in answered] == [(person, True)]
        assert person not in [request.person.id for request in await running.provider.list_join_requests(group.id)]

    async def test_makes_a_group_that_people_join_by_its_link(self, running: Running) -> None:
        running.need(Capability.GROUPS)
        if not running.harness.joins_by_link:
            pytest.skip(f"{running.provider.title} adds people by itself")
        person = running.harness.person_id
        made = await running.provider.create_group("Friends", [person])
        assert [(result.id, result.ok) for result in made.results] == [(person, False)]
        assert "link" in (made.results[0].reason or "")
        assert (made.group.invite_link or "").startswith("https://")
        await running.harness.join(made.group.id)
        assert [[one.id for one in group.participants] for group in await running.provider.list_groups()] == [[person]]
        removed = await running.provider.remove_participants(made.group.id, [person, "no-such-person"])
        assert {result.id: result.ok for result in removed.results} == {person: True, "no-such-person": False}
        assert removed.group.participants == ()
        changed = await running.provider.update_group(made.group.id, "Old friends", "since school")
        assert (changed.title, changed.description) == ("Old friends", "since school")
        link = await running.provider.invite_link(made.group.id)
        assert link == made.group.invite_link
        assert await running.provider.reset_invite_link(made.group.id) != link
        await running.provider.leave_group(made.group.id)
        assert await running.provider.list_groups() == []

    async def test_makes_and_changes_a_group(self, running: Running) -> None:
        running.need(Capability.GROUPS)
        if running.harness.joins_by_link:
            pytest.skip(f"{running.provider.title} adds nobody to a group")
        made = await running.provider.create_group("Friends", [running.harness.person_id, "no-such-person"])
        assert {result.id: result.ok for result in made.results} == {running.harness.person_id: True, "no-such-person": False}
        assert made.group.id in {group.id for group in await running.provider.list_groups()}
        removed = await running.provider.remove_participants(made.group.id, [running.harness.person_id])
        assert removed.group.participants == ()
        added = await running.provider.add_participants(made.group.id, [running.harness.person_id])
        assert [person.id for person in added.group.participants] == [running.harness.person_id]

    async def test_administers_a_group(self, running: Running) -> None:
        running.need(Capability.GROUP_ADMIN)
        if running.harness.joins_by_link:
            pytest.skip(f"{running.provider.title} adds nobody to a group")
        person = running.harness.person_id
        group = (await running.provider.create_group("Friends", [person])).group
        made = await running.provider.set_admin(group.id, [person, "no-such-person"], True)
        assert {result.id: result.ok for result in made.results} == {person: True, "no-such-person": False}
        assert person in made.group.admins
        assert person not in (await running.provider.set_admin(group.id, [person], False)).group.admins
        changed = await running.provider.update_group(group.id, "Old friends", "since school")
        assert (changed.title, changed.description) == ("Old friends", "since school")
        assert (await running.provider.invite_link(group.id)).startswith("https://")
        await running.provider.leave_group(group.id)
        assert group.id not in {one.id for one in await running.provider.list_groups()}

    async def test_is_logged_out_after_logout(self, running: Running) -> None:
        running.need(Capability.LOGOUT)
        await running.provider.logout()
        await running.inbox.state(InstanceState.LOGGED_OUT)
        with pytest.raises(LoggedOut):
            await running.provider.send(running.draft("hello?"))

    async def test_shows_an_answer_while_it_grows(self, running: Running) -> None:
        running.need(Capability.PREVIEW)
        for text in ("It is", "It is five"):
            await running.provider.preview(running.harness.chat_id, text, number=7)
            assert await running.harness.previewed() == text
        await running.provider.send(running.draft("It is five o'clock."))
        assert await running.harness.previewed() is None

    async def test_gives_a_conversation_away_and_takes_it_back(self, running: Running) -> None:
        running.need(Capability.THREAD_CONTROL)
        await running.provider.set_control(running.harness.chat_id, ControlAction.PASS)
        assert not await running.harness.has_control()
        with pytest.raises(Forbidden) as caught:
            await running.provider.send(running.draft("still me"))
        assert "set_thread_control" in (caught.value.hint or "")
        await running.provider.set_control(running.harness.chat_id, ControlAction.TAKE)
        assert await running.harness.has_control()
        await running.provider.send(running.draft("me again"))

    async def test_refuses_an_unsigned_webhook(self, running: Running) -> None:
        running.need(Capability.WEBHOOK)
        taken = list(running.inbox.events)
        reply = await running.provider.receive_webhook(WebhookRequest("POST", {"content-type": "application/json"}, {}, b"{}"))
        assert reply.status in {401, 403}
        assert running.inbox.events == taken

"""Sends beyond text and files, groups and pairing codes, as a caller sees them."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from mcp_messenger.errors import InvalidInput, NotReady
from mcp_messenger.operations import account_actions, checking, groups, login, message_actions, sending, templates
from mcp_messenger.operations.application import App
from mcp_messenger.operations.chats import OfChat, get_chat
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.messages import GetMessage, get_message
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.waiting import WaitForMessages, WaitForReply, wait_for_messages, wait_for_reply
from mcp_messenger.security.caller import ADMIN
from providers.errors import Forbidden, NotFound, Unsupported
from providers.models import Choice
from providers.sandbox.phone import Phone
from providers.sandbox.provider import SandboxProvider
from tests.running import ready_sandbox, registered, running_app, until_status
from tests.waiting import until_answer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncGenerator[App]:
    async with running_app(database_url, tmp_path) as app:
        yield app


def phone_of(app: App, instance_id: str) -> Phone:
    (owned,) = [owned for id, owned in app.supervisor.owned.items() if str(id) == instance_id]
    assert isinstance(owned.provider, SandboxProvider)
    return Phone(owned.provider.world)


async def test_a_choice_that_is_picked_comes_back_with_its_id(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    choices = [Choice(id="t", title="Tea"), Choice(id="c", title="Coffee", description="black")]
    sent = await sending.send_choices(app, ADMIN, sending.SendChoices(instance_id=instance_id, to="ann", message="What?", choices=choices))
    shown = (await get_message(app, ADMIN, GetMessage(instance_id=instance_id, message_id=sent.message_id))).message
    assert [(choice["id"], choice["title"]) for choice in shown.choices] == [("t", "Tea"), ("c", "Coffee")]
    assert sent.platform_id is not None
    phone_of(app, instance_id).choose(sent.platform_id, "c")
    waited = await wait_for_reply(app, ADMIN, WaitForReply(instance_id=instance_id, message_id=sent.message_id, timeout=20))
    assert [(reply.text, reply.chosen) for reply in waited.replies] == [("Coffee", "c")]


async def test_a_contact_card_and_a_template_are_kept_as_what_they_are(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    card = await sending.send_contact(app, ADMIN, sending.SendContact(instance_id=instance_id, to="ann", name="Bob", phone="+15550102"))
    kept = (await get_message(app, ADMIN, GetMessage(instance_id=instance_id, message_id=card.message_id))).message
    assert (kept.kind, kept.contact) == ("contact", {"id": "", "name": "Bob", "phone": "+15550102"})
    (hello, *_) = (await templates.list_templates(app, ADMIN, OfInstance(instance_id=instance_id))).templates
    use = templates.SendTemplate(instance_id=instance_id, to="ann", template=hello.name, language=hello.language, parameters=["Ann", "42"])
    sent = await templates.send_template(app, ADMIN, use)
    kept = (await get_message(app, ADMIN, GetMessage(instance_id=instance_id, message_id=sent.message_id))).message
    assert kept.template == {"name": "hello", "language": "en", "parameters": ["Ann", "42"]}
    with pytest.raises(NotFound, match="No template"):
        await templates.send_template(app, ADMIN, use.model_copy(update={"template": "nonsense"}))


async def test_a_group_is_administered(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    made = await groups.create_group(app, ADMIN, groups.CreateGroup(instance_id=instance_id, name="Friends", participants=["ann"]))
    of: dict[str, Any] = {"instance_id": instance_id, "group_id": made.group.id}
    assert "ann" in (await groups.set_group_admin(app, ADMIN, groups.SetGroupAdmin(**of, participants=["ann"]))).group.admins
    assert (await groups.update_group(app, ADMIN, groups.UpdateGroup(**of, name="Old friends"))).title == "Old friends"
    with pytest.raises(InvalidInput):
        await groups.update_group(app, ADMIN, groups.UpdateGroup(**of))
    assert (await groups.get_invite_link(app, ADMIN, groups.OfGroup(**of))).invite_link.startswith("https://")
    await groups.leave_group(app, ADMIN, groups.OfGroup(**of))
    with pytest.raises(NotFound):
        await groups.get_invite_link(app, ADMIN, groups.OfGroup(**of))


async def test_a_pairing_code_is_asked_for_while_the_instance_waits_for_its_login(app: App) -> None:
    made = await create_instance(app, ADMIN, CreateInstance(provider="sandbox", credentials={"page": True, "page_port": 0}))
    await until_status(app, made.instance_id, "qr_ready")
    asked = login.RequestPairingCode(instance_id=made.instance_id, phone="+1 555 0100 11")
    code = (await login.request_pairing_code(app, ADMIN, asked)).pairing_code
    assert code not in repr(await login.request_pairing_code(app, ADMIN, asked))
    code = (await login.request_pairing_code(app, ADMIN, asked)).pairing_code
    of = OfInstance(instance_id=made.instance_id)
    await until_answer(lambda: login.get_qr(app, ADMIN, of), lambda qr: qr.pairing_code == code)
    assert (await login.get_auth_status(app, ADMIN, of)).needs == "pairing_code"
    ready = await ready_sandbox(app)
    with pytest.raises(NotReady):
        await login.request_pairing_code(app, ADMIN, login.RequestPairingCode(instance_id=ready, phone="+1555010011"))


class SandboxWithWindow(SandboxProvider):
    limits = SandboxProvider.limits.model_copy(update={"reply_window_hours": 24})


async def test_a_closed_window_is_told_before_the_platform_refuses(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    check = checking.CheckSend(instance_id=instance_id, to="ann", message="hello")
    assert (await checking.check_send(app, ADMIN, check)).ok
    with registered(SandboxWithWindow):
        instance_id = await ready_sandbox(app, persona="human")
    check = checking.CheckSend(instance_id=instance_id, to="ann", message="hello")
    told = await checking.check_send(app, ADMIN, check)
    assert (told.ok, told.refusal) == (False, "window_closed")
    assert "list_templates" in (told.instead or "")
    sent = await sending.send_message(app, ADMIN, sending.SendMessage(instance_id=instance_id, to="ann", message="anyway"))
    phone_of(app, instance_id).write("ann", "go on")
    await wait_for_reply(app, ADMIN, WaitForReply(instance_id=instance_id, message_id=sent.message_id, timeout=20))
    assert (await checking.check_send(app, ADMIN, check)).ok


class PoorSandbox(SandboxProvider):
    capabilities = frozenset()


async def test_what_a_messenger_does_not_have_is_said(app: App) -> None:
    with registered(PoorSandbox):
        instance_id = await ready_sandbox(app)
        with pytest.raises(Unsupported, match="templates"):
            await templates.send_template(app, ADMIN, templates.SendTemplate(instance_id=instance_id, to="ann", template="x", language="en"))
        with pytest.raises(Unsupported, match="group_admin"):
            await groups.leave_group(app, ADMIN, groups.OfGroup(instance_id=instance_id, group_id="team"))


async def test_messages_chats_and_people_are_handled_as_on_a_phone(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    of: dict[str, Any] = {"instance_id": instance_id}
    phone = phone_of(app, instance_id)
    begun = (await wait_for_messages(app, ADMIN, WaitForMessages(**of, timeout=0))).cursor
    platform_id = phone.write("ann", "the address is 5 Elm Street")
    received = (await wait_for_messages(app, ADMIN, WaitForMessages(**of, cursor=begun, timeout=20))).messages[-1]
    world = phone.world
    await message_actions.pin_message(app, ADMIN, message_actions.PinMessage(**of, message_id=received.id))
    await message_actions.star_message(app, ADMIN, message_actions.StarMessage(**of, message_id=received.id))
    assert world.fact(f"pinned:{platform_id}")
    assert world.fact(f"starred:{platform_id}")

    assert (await get_chat(app, ADMIN, OfChat(**of, chat_id="ann"))).chat.read_back_to == received.at
    phone.write("ann", "and the bell is broken")

    forward = sending.ForwardMessage(**of, message_id=received.id, to="bob", idempotency_key="once")
    sent = await sending.forward_message(app, ADMIN, forward)
    assert (await sending.forward_message(app, ADMIN, forward)).message_id == sent.message_id
    kept = (await get_message(app, ADMIN, GetMessage(**of, message_id=sent.message_id))).message
    assert (kept.text, kept.chat_id, kept.forwarded is not None) == ("the address is 5 Elm Street", "bob", True)
    assert [post.message.text for post in world.posts("bob", limit=5)] == ["the address is 5 Elm Street"]

    await account_actions.update_chat(app, ADMIN, account_actions.UpdateChat(**of, chat_id="ann", archived=True, pinned=True, muted=True))
    assert [world.fact(f"{mark}:ann") for mark in ("archived", "chat-pinned", "muted")] == ["yes", "yes", "ever"]
    with pytest.raises(InvalidInput, match="Nothing was given"):
        await account_actions.update_chat(app, ADMIN, account_actions.UpdateChat(**of, chat_id="ann"))

    await account_actions.block_contact(app, ADMIN, account_actions.BlockContact(**of, contact_id="ann"))
    with pytest.raises(Forbidden, match="blocked by the account"):
        phone.write("ann", "hello?")
    found = await account_actions.check_number(app, ADMIN, account_actions.CheckNumber(**of, phone="+1 555 0101"))
    assert (found.registered, found.chat_id) == (True, "bob")
    assert not (await account_actions.check_number(app, ADMIN, account_actions.CheckNumber(**of, phone="+1 555 0999"))).registered

    picture = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
    await account_actions.update_profile(app, ADMIN, account_actions.UpdateProfile(**of, about="At work", picture=picture))
    assert (world.fact("profile:about"), world.fact("profile:picture") is not None) == ("At work", True)
    assert (await account_actions.post_story(app, ADMIN, account_actions.PostStory(**of, message="Open today"))).platform_id


async def test_a_group_is_joined_and_set_up_and_lets_people_in(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    of: dict[str, Any] = {"instance_id": instance_id}
    joined = await groups.join_group(app, ADMIN, groups.JoinGroup(**of, invite_link="https://sandbox.invalid/join/reading-club"))
    assert joined.id in {group.id for group in (await groups.list_groups(app, ADMIN, OfInstance(**of))).groups}
    group: dict[str, Any] = {**of, "group_id": joined.id}
    asking = (await groups.list_join_requests(app, ADMIN, groups.OfGroup(**group))).requests
    assert [one.id for one in asking] == ["bob", "carol"]
    answers = groups.AnswerJoinRequests(**group, participants=["bob", "dora"], admit=True)
    assert [one.ok for one in (await groups.answer_join_requests(app, ADMIN, answers)).results] == [True, False]
    changed = await groups.update_group(app, ADMIN, groups.UpdateGroup(**group, name="Readers", only_admins_write=True))
    assert (changed.title, "bob" in changed.participants) == ("Readers", True)
    assert phone_of(app, instance_id).world.fact(f"only_admins_write:{joined.id}")
    link = (await groups.get_invite_link(app, ADMIN, groups.OfGroup(**group))).invite_link
    assert (await groups.reset_invite_link(app, ADMIN, groups.OfGroup(**group))).invite_link != link
    with pytest.raises(InvalidInput, match="Nothing was given"):
        await groups.update_group(app, ADMIN, groups.UpdateGroup(**group))

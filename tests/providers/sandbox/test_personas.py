"""Who answers by itself."""

import pytest

from providers.events import MessageReceived, ReceiptChanged, ReceiptStatus
from providers.models import Draft, Location, Poll
from providers.states import InstanceState
from tests.providers.harness import PICTURE, Inbox
from tests.providers.sandbox.conftest import Sandbox

pytestmark = pytest.mark.anyio


def answers(inbox: Inbox) -> list[str]:
    return [event.message.text for event in inbox.events if isinstance(event, MessageReceived) and not event.message.outgoing]


async def test_echo_delivers_reads_and_repeats_in_this_order(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(persona="echo")
    await provider.send(Draft(client_id="c-1", chat_id="bob", text="Hello Bob"))
    answer = await inbox.message("echo: Hello Bob")
    assert (answer.message.chat_id, answer.message.sender_id) == ("bob", "bob")
    kinds = [event.status if isinstance(event, ReceiptChanged) else type(event) for event in inbox.events[-4:]]
    assert kinds == [MessageReceived, ReceiptStatus.DELIVERED, ReceiptStatus.READ, MessageReceived]


async def test_echo_sends_files_places_and_questions_back(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(persona="echo")
    await provider.send(Draft(client_id="c-1", chat_id="ann", text="a dot", upload=PICTURE))
    answer = await inbox.message("echo: a dot")
    assert (await provider.download(answer.message.media[0])).content == PICTURE.content
    await provider.send(Draft(client_id="c-2", chat_id="ann", location=Location(latitude=1, longitude=2)))
    place = await inbox.wait(MessageReceived, lambda event: event.message.location is not None and not event.message.outgoing)
    assert place.message.location == Location(latitude=1, longitude=2)
    await provider.send(Draft(client_id="c-3", chat_id="ann", poll=Poll(question="Tea?", options=("yes", "no"))))
    await inbox.message("echo: Tea?")


async def test_echo_is_silent_to_an_answer_to_its_echo(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(persona="echo")
    await provider.send(Draft(client_id="c-1", chat_id="ann", text="one"))
    echo = await inbox.message("echo: one")
    await provider.send(Draft(client_id="c-2", chat_id="ann", text="two", reply_to=echo.message.id))
    await provider.send(Draft(client_id="c-3", chat_id="ann", text="three"))
    await inbox.message("echo: three")
    assert answers(inbox) == ["echo: one", "echo: three"]


async def test_a_script_is_followed_once_in_every_chat(sandbox: Sandbox) -> None:
    steps = [{"expect": "HELLO", "reply": "Hi, my order is late."}, {"expect": "*", "reply": "Thank you!"}]
    provider, inbox = await sandbox.ready(persona="script", script=steps)
    for number, text in enumerate(("who is it?", "hello there", "I will see", "anything else?")):
        await provider.send(Draft(client_id=f"ann-{number}", chat_id="ann", text=text))
    await provider.send(Draft(client_id="bob-1", chat_id="bob", text="Hello"))
    await inbox.wait(MessageReceived, lambda event: event.message.sender_id == "bob")
    assert answers(inbox) == ["Hi, my order is late.", "Thank you!", "Hi, my order is late."]


async def test_an_answer_that_was_due_at_a_restart_comes_once(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(persona="echo", reply_delay_ms=5000)
    await provider.send(Draft(client_id="c-1", chat_id="ann", text="later"))
    await inbox.wait(ReceiptChanged, lambda event: event.status is ReceiptStatus.READ)
    assert answers(inbox) == []
    _, inbox = await sandbox.ready(persona="echo")
    await inbox.message("echo: later")
    assert not [event for event in inbox.events if isinstance(event, ReceiptChanged)]
    provider, inbox = await sandbox.ready(persona="echo")
    await provider.send(Draft(client_id="c-2", chat_id="ann", text="again"))
    await inbox.message("echo: again")
    assert answers(inbox) == ["echo: again"]


async def test_a_message_deleted_in_time_is_not_answered(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(persona="echo", reply_delay_ms=5000)
    sent = await provider.send(Draft(client_id="c-1", chat_id="ann", text="a slip"))
    await inbox.wait(ReceiptChanged, lambda event: event.status is ReceiptStatus.READ)
    await provider.delete("ann", sent.id)
    await provider.send(Draft(client_id="c-2", chat_id="ann", text="better"))
    sandbox.clock.go_on(5)
    await inbox.wait(ReceiptChanged, lambda event: event.status is ReceiptStatus.READ and event.message_id != sent.id)
    sandbox.clock.go_on(5)
    await inbox.message("echo: better")
    assert answers(inbox) == ["echo: better"]


async def test_an_empty_group_does_not_answer(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(persona="echo")
    await provider.remove_participants("team", ["ann", "bob", "carol"])
    await provider.send(Draft(client_id="c-1", chat_id="team", text="anybody?"))
    await provider.send(Draft(client_id="c-2", chat_id="ann", text="Ann?"))
    await inbox.message("echo: Ann?")
    assert answers(inbox) == ["echo: Ann?"]
    assert provider.state.state is InstanceState.READY

"""Everyday tasks, done with the default tools by a client that sees only what a model is shown, within a budget of calls and tokens each."""

import io
import re
import sys
from base64 import b64decode
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest
from mcp import Client
from mcp.types import ImageContent
from PIL import Image

from db.embedded import EmbeddedPostgres
from mcp_messenger.config import MB
from mcp_messenger.config.transcriber import TranscriberConfig
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.operations import deciding, keys, lifecycle, policies, removal
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.security.caller import ADMIN
from providers.events import MessageReceived
from providers.models import Chat, ChatKind, Contact, Media, MediaKind, Message
from providers.sandbox.provider import Running
from tests.agent_tasks.budgets import BUDGETS
from tests.mcp_clients import in_memory, text_of
from tests.postgres import fresh_database
from tests.running import ready_sandbox, running_app, sandbox_of
from tests.standins.telegram_bot_api import TelegramStandIn
from tests.stored import rows
from tests.waiting import until

pytestmark = pytest.mark.anyio
SPOKEN = "Meet me at the pier."
TRANSCRIBER = TranscriberConfig(command=(sys.executable, "-c", f"print({SPOKEN!r})"))
BUBBLES = ("Hello!", "I am fine, and you?")


class Agent:
    """A client with the default tools, which counts what its calls cost."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.texts: list[str] = []
        self.pictures: list[ImageContent] = []

    async def call(self, tool: str, **arguments: Any) -> str:
        """What a model reads of the answer, errors as well."""
        answer = await self.client.call_tool(tool, arguments)
        self.texts.append(text_of(answer))
        self.pictures = [block for block in answer.content if isinstance(block, ImageContent)]
        return self.texts[-1]

    @contextmanager
    def task(self, number: int) -> Generator[None]:
        """What is inside keeps to the task's budget."""
        bpe = pytest.importorskip("rs_bpe.bpe", reason="the tokenizer has no wheel for this platform")
        self.texts = []
        yield
        tokens = sum(bpe.openai.o200k_base().count(text) for text in self.texts)
        sys.stderr.write(f"task {number}: {len(self.texts)} calls, {tokens} tokens\n")
        budget = BUDGETS[number]
        assert len(self.texts) <= budget.calls
        assert tokens <= budget.tokens, "\n".join(self.texts)


class Desk:
    """Two accounts, the other people's phone, and the agent."""

    def __init__(self, app: App, url: str, agent: Agent, one: str, other: str) -> None:
        self.app = app
        self.url = url
        self.agent = agent
        self.one = one
        self.other = other

    @property
    def phone(self) -> Running:
        return sandbox_of(self.app, self.one)

    async def has(self, count: int, text: str) -> None:
        """Returns when so many messages with this text are stored, and on the platform."""
        await until(lambda: rows(self.url, "SELECT count(*) FROM messages WHERE body = %s AND platform_id IS NOT NULL", text)[0][0] >= count)

    async def received(self, platform_id: str) -> str:
        """Return our id of a message, as soon as it is stored."""
        found = "SELECT id FROM messages WHERE platform_id = %s"
        await until(lambda: rows(self.url, found, platform_id))
        return str(rows(self.url, found, platform_id)[0][0])

    async def approved(self, said: str) -> None:
        """Let the owner approve what an answer says is kept; return when it is done."""
        id = re.findall(r"approval ([0-9a-f-]{36})", said)[0]
        await deciding.approve(self.app, ADMIN, deciding.Approve(approval_id=id))
        await until(
            lambda: (
                rows(self.url, "SELECT 1 FROM approvals WHERE id = %s AND status = 'done'", id)
                or not rows(self.url, "SELECT 1 FROM approvals WHERE id = %s", id)
            )
        )

    async def deliver(self, instance_id: str, *events: MessageReceived) -> None:
        await self.app.inbound.deliver(Source(UUID(instance_id), None), events)


def written(id: str, chat: Chat, sender: Contact, text: str, at: datetime) -> MessageReceived:
    message = Message(id=id, chat_id=chat.id, at=at, text=text, sender_id=sender.id, sender_name=sender.name)
    return MessageReceived(message=message, chat=chat, sender=sender)


@pytest.fixture(scope="module")
def store_url(embedded: EmbeddedPostgres) -> Generator[str]:
    with fresh_database(embedded.url) as url:
        yield url


@pytest.fixture(scope="module")
async def desk(store_url: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncGenerator[Desk]:
    async with (
        running_app(
            store_url, tmp_path_factory.mktemp("desk"), answers="lines", toolsets=("default",), keep_files=MB, transcriber=TRANSCRIBER
        ) as app,
        in_memory(app) as client,
    ):
        one, other = [await ready_sandbox(app, persona="human") for _ in range(2)]
        for instance_id in (one, other):
            # What a stranger's words may lead to is tested elsewhere; here every task meets those of the others.
            await policies.set_policy(app, ADMIN, policies.SetPolicy(instance_id=instance_id, preset="no limits"))
        desk = Desk(app, store_url, Agent(client), one, other)
        await desk.agent.call("send_message", instance_id=one, to="ann", message="Good to know you")
        yield desk


async def test_1_logging_in(desk: Desk) -> None:
    with desk.agent.task(1):
        made = await desk.agent.call("create_instance", provider="sandbox")
        instance_id = re.findall('"instance_id":"([0-9a-f-]+)"', made)[0]
        said = await desk.agent.call("login", instance_id=instance_id)
    assert "Show the person the code" in said
    sandbox_of(desk.app, instance_id).login.scan()
    assert '"state":"ready"' in await desk.agent.call("login", instance_id=instance_id, wait=60)


async def test_2_a_name_and_an_answer_in_two_bubbles(desk: Desk) -> None:
    async def answer() -> None:
        await desk.has(1, "How are you, Ann?")
        for text in BUBBLES:
            desk.phone.phone.write("ann", text)

    heard = ""
    with desk.agent.task(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            heard = await desk.agent.call("send_message", instance_id=desk.one, to="Ann Lee", message="How are you, Ann?", wait=60)
    assert [text for text in BUBBLES if text in heard] == list(BUBBLES), heard


async def test_3_the_newest_unanswered_message(desk: Desk) -> None:
    sandbox_of(desk.app, desk.other).phone.write("bob", "Where are you?")
    await desk.has(1, "Where are you?")
    with desk.agent.task(3):
        waiting = await desk.agent.call("catch_up")
        account = re.findall(r"# ([0-9a-f]{8}) sandbox", waiting[: waiting.index("Where are you?")])[-1]
        sent = await desk.agent.call("send_message", instance_id=account, to="bob", message="On my way")
    assert desk.other.startswith(account)
    assert '"chat_id":"bob"' in sent


async def test_4_finding_one_message_among_many(desk: Desk) -> None:
    people = [Contact(id=f"p{number}", name=f"Person {number}") for number in range(60)]
    then = datetime.now(UTC) - timedelta(hours=9)
    events = [
        written(f"m{number}", Chat(id=f"p{number % 60}", kind=ChatKind.PRIVATE), people[number % 60], f"Nothing much, {number}", then)
        for number in range(2000)
    ]
    events[777] = written("m777", Chat(id="p57", kind=ChatKind.PRIVATE), people[57], "You can borrow my ladder", then - timedelta(days=6))
    for start in range(0, 2000, 250):
        await desk.deliver(desk.other if start % 500 else desk.one, *events[start : start + 250])

    async def found() -> str:
        return await desk.agent.call("search_messages", query="ladders", since="2w")

    await until(lambda: rows(desk.url, "SELECT count(*) = 0 FROM search_pending")[0][0])
    with desk.agent.task(4):
        said = await found()
    assert "borrow my ladder" in said
    assert "p57" in said


async def test_5_three_hundred_messages_of_a_group(desk: Desk) -> None:
    names = [Contact(id=f"r{number}", name=name) for number, name in enumerate(("Ann Lee", "Bob Stone", "Carol", "Dora Finch"))]
    sayings = ("Could you bring the ladder tomorrow?", "Sure, see you at ten", "I sent the invoice for March", "Thanks, that works for me")
    group = Chat(id="rowing", kind=ChatKind.GROUP, title="Rowing club")
    start = datetime.now(UTC) - timedelta(hours=10)
    said = [written(f"r{number}", group, names[number % 4], sayings[number % 3], start + timedelta(minutes=number)) for number in range(300)]
    await desk.deliver(desk.one, *said)
    with desk.agent.task(5):
        read = await desk.agent.call("get_messages", instance_id=desk.one, chat_id="rowing", since="1d", limit=300, max_tokens=5500)
    assert sum(read.count(saying) for saying in sayings) == 300


async def test_6_a_file_to_a_group(desk: Desk) -> None:
    folder = desk.app.config.data_dir / "media"
    folder.mkdir(exist_ok=True)
    (folder / "plan.txt").write_text("1. Rest")
    with desk.agent.task(6):
        sent = await desk.agent.call("send_media", instance_id=desk.one, to="team", source=str(folder / "plan.txt"))
    assert '"chat_id":"team"' in sent


async def test_7_repetitions(desk: Desk) -> None:
    first = await desk.agent.call("send_message", instance_id=desk.one, to="bob", message="Pay me", idempotency_key="t7")
    unkeyed = await desk.agent.call("send_message", instance_id=desk.one, to="bob", message="Pay me soon")
    with desk.agent.task(7):
        again = await desk.agent.call("send_message", instance_id=desk.one, to="bob", message="Pay me", idempotency_key="t7")
        noticed = await desk.agent.call("send_message", instance_id=desk.one, to="bob", message="Pay me soon")
    assert id_of(again) == id_of(first)
    assert id_of(noticed) == id_of(unkeyed)
    assert "repeat: true" in noticed


def id_of(answer: str) -> str:
    return re.findall('"message_id":"(s?[0-9]+)"', answer)[0]


async def test_8_edit_and_delete(desk: Desk) -> None:
    id = id_of(await desk.agent.call("send_message", instance_id=desk.one, to="bob", message="Helo"))
    with desk.agent.task(8):
        assert "error" not in await desk.agent.call("edit_message", instance_id=desk.one, message_id=id, message="Hello")
        for _ in range(2):
            assert "error" not in await desk.agent.call("delete_message", instance_id=desk.one, message_id=id)
    assert rows(desk.url, "SELECT deleted_at IS NOT NULL FROM messages WHERE id = %s", int(id)) == [(True,)]


async def test_9_reactions(desk: Desk) -> None:
    theirs = desk.phone.phone.write("bob", "Shall we meet at six?")
    await desk.has(1, "Shall we meet at six?")
    ((number,),) = rows(desk.url, "SELECT id FROM messages WHERE platform_id = %s", theirs)
    ours = id_of(await desk.agent.call("send_message", instance_id=desk.one, to="bob", message="Six at the pier?"))
    ((platform_id,),) = rows(desk.url, "SELECT platform_id FROM messages WHERE id = %s", int(ours))

    async def thumbs_up() -> None:
        desk.phone.phone.react(platform_id, "\N{THUMBS UP SIGN}", sender_id="bob")

    heard = ""
    with desk.agent.task(9):
        await desk.agent.call("react", instance_id=desk.one, message_id=str(number), emoji="\N{HEAVY BLACK HEART}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(thumbs_up)
            heard = await desk.agent.call("wait_for_reply", instance_id=desk.one, message_id=ours, reactions=True, settle=0)
        seen = await desk.agent.call("get_messages", instance_id=desk.one, chat_id="bob", around=str(number), limit=1)
    assert "\N{THUMBS UP SIGN}" in heard
    assert "\N{HEAVY BLACK HEART}" in seen


async def test_10_similar_contacts(desk: Desk) -> None:
    for number, name in enumerate(("Anna Maria Bell", "Anna Bell", "Bell Annamaria")):
        chat = Chat(id=f"bell{number}", kind=ChatKind.PRIVATE, title=name)
        person = Contact(id=chat.id, name=name, phone=f"+49170123450{number}")
        await desk.deliver(desk.one, written(f"bell{number}", chat, person, "Hi", datetime.now(UTC)))
    with desk.agent.task(10):
        found = await desk.agent.call("list_contacts", instance_id=desk.one, query="bell anna")
        by_number = await desk.agent.call("list_contacts", instance_id=desk.one, query="0170 1234-502")
    assert [line for line in ("bell0", "bell1", "bell2") if line in found] == ["bell0", "bell1", "bell2"]
    assert ("bell2" in by_number, "bell0" in by_number) == (True, False)


async def test_11_the_first_message_to_somebody(desk: Desk) -> None:
    with desk.agent.task(11):
        by_number = await desk.agent.call("send_message", instance_id=desk.other, to="+1 (555) 0102", message="Hello Carol")
        by_user_name = await desk.agent.call("send_message", instance_id=desk.other, to="@carol", message="Hello again")
        to_nobody = await desk.agent.call("send_message", instance_id=desk.other, to="nobody-there", message="Hello")
    assert '"chat_id":"carol"' in by_number
    assert '"chat_id":"carol"' in by_user_name
    assert "list_chats" in to_nobody


async def test_12_a_long_text(desk: Desk) -> None:
    with desk.agent.task(12):
        sent = await desk.agent.call("send_message", instance_id=desk.one, to="bob", message="word " * 1800, split=True)
    assert '"status":"sent"' in sent or '"status":"delivered"' in sent


async def test_13_what_cannot_be_sent(desk: Desk) -> None:
    with desk.agent.task(13):
        blocked = await desk.agent.call("send_message", instance_id=desk.one, to="blocked", message="Hello")
        closed = await desk.agent.call("send_message", instance_id=desk.one, to="window-closed", message="Hello")
        unknown = await desk.agent.call("send_message", instance_id=desk.one, to="Nobody There", message="Hello")
    assert blocked.startswith("forbidden: ")
    assert "Write to somebody else" in blocked
    assert closed.startswith("window_closed: ")
    assert "Wait until the other side writes first" in closed
    assert "list_contacts" in unknown
    assert not any(post.message.outgoing for chat_id in ("blocked", "window-closed") for post in desk.phone.world.posts(chat_id, limit=5))


async def test_14_waiting_for_whatever_comes(desk: Desk) -> None:
    async def write() -> None:
        sandbox_of(desk.app, desk.other).phone.write("bob", "The train is late")

    heard = ""
    # What comes before a first wait is not waited for.
    cursor = re.findall('"cursor":"([0-9]+)"', await desk.agent.call("wait_for_messages", timeout=0))[0]
    with desk.agent.task(14):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            heard = await desk.agent.call("wait_for_messages", cursor=cursor, timeout=60)
    assert "The train is late" in heard
    assert desk.other in heard


async def test_15_going_on_after_a_restart(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, answers="lines") as app, in_memory(app) as client:
        instance_id = await ready_sandbox(app, persona="human")
        before = await Agent(client).call("wait_for_messages", timeout=0)
        cursor = re.findall('"cursor":"([0-9]+)"', before)[0]
        sandbox_of(app, instance_id).phone.write("ann", "Said while nobody listened")
        await until(lambda: rows(database_url, "SELECT count(*) FROM messages")[0][0] == 1)
    async with running_app(database_url, tmp_path, answers="lines") as app, in_memory(app) as client:
        agent = Agent(client)
        with agent.task(15):
            heard = await agent.call("wait_for_messages", cursor=cursor, timeout=60)
        assert heard.count("Said while nobody listened") == 1
        after = re.findall('"cursor":"([0-9]+)"', heard)[0]
        assert "Said while" not in await agent.call("wait_for_messages", cursor=after, timeout=0)


async def test_16_a_picture_that_somebody_sent(desk: Desk) -> None:
    drawn = io.BytesIO()
    Image.new("RGB", (2000, 1000), (10, 200, 30)).save(drawn, "PNG")
    media = Media(kind=MediaKind.IMAGE, ref=desk.phone.world.add_file(drawn.getvalue(), "image/png", "boat.png"), mime="image/png")
    number = await desk.received(desk.phone.phone.write("carol", "The boat", media=[media]))
    with desk.agent.task(16):
        said = await desk.agent.call("get_media", instance_id=desk.one, message_id=number)
    (picture,) = desk.agent.pictures
    shown = Image.open(io.BytesIO(b64decode(picture.data)))
    assert (picture.mime_type, max(shown.size), shown.getpixel((5, 5))) == ("image/jpeg", 1568, pytest.approx((10, 200, 30), abs=4))
    assert picture.data[:40] not in said


async def test_17_the_people_of_a_group(desk: Desk) -> None:
    with desk.agent.task(17):
        shown = await desk.agent.call("list_contacts", instance_id=desk.one, group_id="team")
    assert all(name in shown for name in ("Ann Lee", "Bob Stone", "Carol Diaz"))
    assert "admin" in shown


async def test_18_tomorrow_at_nine(desk: Desk) -> None:
    with desk.agent.task(18):
        kept = await desk.agent.call(
            "send_message", instance_id=desk.one, to="ann", message="The meeting is at ten", send_at="tomorrow 09:00 Europe/Berlin"
        )
        listed = await desk.agent.call("list_scheduled")
        gone = await desk.agent.call("cancel_send", instance_id=desk.one, message_id=id_of(kept))
    assert "09:00 Europe/Berlin to ann: The meeting is at ten" in listed
    assert "cancelled" in gone
    assert await desk.agent.call("list_scheduled") == "Nothing is scheduled."


async def test_19_a_wrong_token(desk: Desk) -> None:
    async with TelegramStandIn() as telegram:
        credentials = {"token": "1234567890:" + "A" * 35, "base_url": telegram.url}
        wanted = CreateInstance(provider="telegram", credentials=credentials)
        instance_id = (await create_instance(desk.app, ADMIN, wanted)).instance_id
        await policies.set_policy(desk.app, ADMIN, policies.SetPolicy(instance_id=instance_id, preset="no limits"))
        with desk.agent.task(19):
            said = await desk.agent.call("login", instance_id=instance_id)
            # The person does, on the page or over REST; the agent is told when it is done.
            token = telegram.add_bot(name="Robo").token
            await keys.set_credentials(desk.app, ADMIN, keys.SetCredentials(instance_id=instance_id, credentials={"token": token}))
            mended = await desk.agent.call("login", instance_id=instance_id, wait=60)
        await removal.delete_instance(desk.app, ADMIN, removal.DeleteInstance(instance_id=instance_id, purge=True))
    assert '"state":"ready"' in mended
    assert token not in "".join(desk.agent.texts)
    assert '"needs":"token"' in said
    assert "Do not ask for the token in this chat" in said
    assert '"authenticated":true' not in said


async def test_20_logging_out_removing_and_purging_an_account(desk: Desk) -> None:
    instance_id = await ready_sandbox(desk.app, persona="human")
    sandbox_of(desk.app, instance_id).phone.write("ann", "Keep this in mind")
    await desk.has(1, "Keep this in mind")
    assert "Logging an account out is for a person" in (desk.agent.client.instructions or "")
    assert (await lifecycle.log_out(desk.app, ADMIN, OfInstance(instance_id=instance_id))).status == "logged_out"
    with desk.agent.task(20):
        await desk.approved(await desk.agent.call("delete_instance", instance_id=instance_id))
        read = await desk.agent.call("get_messages", instance_id=instance_id[:8], chat_id="ann")
        purge = await desk.agent.call("delete_instance", instance_id=instance_id, purge=True)
    assert instance_id[:8] not in await desk.agent.call("list_instances")
    assert "Keep this in mind" in read
    assert purge.startswith("approval_required: ")
    await desk.has(1, "Keep this in mind")
    await desk.approved(purge)
    assert rows(desk.url, "SELECT count(*) FROM messages WHERE instance_id = %s", instance_id) == [(0,)]
    assert (await desk.agent.call("list_chats", instance_id=instance_id)).startswith("instance_not_found: ")


async def test_21_five_people_five_texts(desk: Desk) -> None:
    people = ("ann", "bob", "carol", "team", "blocked")
    with desk.agent.task(21):
        sent = await desk.agent.call("send_many", instance_id=desk.one, messages=[{"to": to, "message": f"News for {to}"} for to in people])
    assert [to for to in people if f'"to":"{to}"' in sent] == list(people)
    assert sent.count('"message_id"') == 4, sent
    assert '"code":"forbidden"' in sent


async def test_22_what_was_said_in_a_voice_message(desk: Desk) -> None:
    ref = desk.phone.world.add_file(b"OggS" + bytes(24) + b"OpusHead", "audio/ogg", "voice.ogg")
    media = Media(kind=MediaKind.VOICE, ref=ref, mime="audio/ogg", duration=4.0)
    number = await desk.received(desk.phone.phone.write("carol", media=[media]))
    await until(lambda: rows(desk.url, "SELECT 1 FROM media_files WHERE message_id = %s AND voice = 'done'", int(number)))
    with desk.agent.task(22):
        said = await desk.agent.call("get_messages", instance_id=desk.one, chat_id="carol", around=number, limit=1)
    assert "voice 4 s" in said
    assert f"(machine transcript: {SPOKEN})" in said


async def test_23_forwarding(desk: Desk) -> None:
    ref = desk.phone.world.add_file(b"1. Rest", "text/plain", "plan.txt")
    theirs = desk.phone.phone.write("ann", "The plan", media=[Media(kind=MediaKind.DOCUMENT, ref=ref, name="plan.txt", mime="text/plain")])
    await desk.has(1, "The plan")
    ((number,),) = rows(desk.url, "SELECT id FROM messages WHERE platform_id = %s", theirs)
    with desk.agent.task(23):
        sent = await desk.agent.call("forward_message", instance_id=desk.one, message_id=str(number), to="ann")
    assert '"chat_id":"ann"' in sent
    posts = desk.phone.world.posts("ann", limit=1)
    assert (posts[0].message.outgoing, posts[0].message.media[0].name) == (True, "plan.txt")


async def test_24_pinned_archived_and_muted(desk: Desk) -> None:
    with desk.agent.task(24):
        shown = await desk.agent.call("update_chat", instance_id=desk.one, chat_id="ann", pinned=True, archived=True, muted=True)
    assert '"marks":["pinned","archived","muted"]' in shown
    assert "pinned archived muted" in await desk.agent.call("list_chats", instance_id=desk.one)
    await desk.agent.call("update_chat", instance_id=desk.one, chat_id="ann", pinned=False, archived=False, muted=False)

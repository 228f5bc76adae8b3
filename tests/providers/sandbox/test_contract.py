"""The sandbox keeps the contract of all messengers."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from providers.base import Provider, ProviderContext
from providers.events import MessageDeleted, MessageEdited, ReactionChanged, ReceiptChanged
from providers.models import Media, Upload
from providers.sandbox.people import OWN_ID
from providers.sandbox.phone import Phone
from providers.sandbox.provider import SandboxProvider
from providers.sandbox.settings import SandboxSettings
from providers.sandbox.world import World
from providers.states import InstanceState
from tests.providers.contract import ProviderContract
from tests.providers.harness import Harness, Seen


class SandboxHarness(Harness):
    chat_id = "ann"
    person_id = "ann"
    companion = "bob"
    is_saved = True
    reaches_out = False
    reports = frozenset({MessageEdited, MessageDeleted, ReactionChanged, ReceiptChanged})

    def __init__(self, context: ProviderContext) -> None:
        self.settings = SandboxSettings(persona="human", auto_scan=True, page=False, webhook_secret=SecretStr("a-key-of-a-test"))
        self._surroundings = context
        self._provider: SandboxProvider | None = None

    def create(self) -> Provider:
        self._provider = SandboxProvider(self.settings, self._surroundings)
        return self._provider

    @contextmanager
    def _world(self) -> Generator[World]:
        """The world that the provider runs, or its file while it is away."""
        if self._provider is not None and self._provider.state.state is InstanceState.READY:
            yield self._provider.world
            return
        world = World(self._surroundings.data_dir)
        yield world
        world.close()

    async def write(self, text: str, *, reply_to: str | None = None, upload: Upload | None = None) -> str:
        with self._world() as world:
            media: list[Media] = []
            if upload is not None:
                ref = world.add_file(upload.content, upload.mime, upload.name)
                media.append(Media(kind=upload.kind, ref=ref, mime=upload.mime, size=len(upload.content), name=upload.name))
            return Phone(world).write(self.chat_id, text, reply_to=reply_to, media=media)

    async def refuse_second_send(self) -> None:
        pytest.skip("the sandbox takes all parts of a message in one step")

    async def edit(self, message_id: str, text: str) -> None:
        with self._world() as world:
            Phone(world).edit(message_id, text)

    async def delete(self, message_id: str) -> None:
        with self._world() as world:
            Phone(world).delete(message_id)

    async def react(self, message_id: str, emoji: str | None) -> None:
        with self._world() as world:
            Phone(world).react(message_id, emoji)

    async def seen(self, message_id: str) -> Seen:
        with self._world() as world:
            post = world.find_post(message_id)
            assert post is not None
            message = post.message
            return Seen(
                text=message.text,
                reply_to=message.reply_to,
                reaction=world.reactions(message_id).get(OWN_ID),
                deleted=post.deleted,
                read=post.position <= world.read_up_to(message.chat_id),
                file=world.file(message.media[0].ref).content if message.media else None,
                location=message.location,
                poll=message.poll,
                contact=message.contact,
                thread_id=message.thread_id,
                pinned=world.fact(f"pinned:{message_id}") is not None,
                forwarded=message.forwarded is not None,
            )

    async def is_archived(self) -> bool:
        with self._world() as world:
            return world.fact(f"archived:{self.chat_id}") is not None

    async def ask_to_join(self, group_id: str) -> None:
        """Everybody of the sandbox who is not in a group asks to join it."""

    async def choices(self, message_id: str) -> dict[str, str]:
        with self._world() as world:
            return {choice.id: choice.title for choice in world.choices(message_id)}

    async def choose(self, message_id: str, choice_id: str) -> None:
        with self._world() as world:
            Phone(world).choose(message_id, choice_id)

    async def thread(self) -> str:
        return await self.write("a thread")

    async def has_control(self) -> bool:
        with self._world() as world:
            return world.fact(f"control:{self.chat_id}") in {None, "ours"}

    async def is_typing(self) -> bool:
        with self._world() as world:
            return world.is_typing(self.chat_id)


@pytest.fixture
def harness(context: ProviderContext) -> SandboxHarness:
    return SandboxHarness(context)


class TestSandbox(ProviderContract):
    pass

"""Who answers on the other side when no person does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from providers.events import ReceiptStatus
from providers.models import Location, Media
from providers.sandbox.login import Sleep
from providers.sandbox.people import FAILING
from providers.sandbox.phone import Phone
from providers.sandbox.settings import SandboxSettings, Step
from providers.sandbox.world import Post, World

_ATTENDED = "attended"
_ECHO = "echo: "


@dataclass(frozen=True)
class Answer:
    text: str
    media: Sequence[Media] = ()
    location: Location | None = None


class Persona(Protocol):
    def answer(self, world: World, post: Post) -> Answer | None:
        """What to say to a message of ours; None says nothing. Called within one change of the world."""
        ...


class Echo:
    """Says everything again, files and places too. Silent to answers to its own echoes: two machines would never stop."""

    def answer(self, world: World, post: Post) -> Answer | None:
        message = post.message
        quoted = world.find_post(message.reply_to) if message.reply_to else None
        if quoted is not None and quoted.message.text.startswith(_ECHO):
            return None
        text = message.text if message.poll is None else message.poll.question
        return Answer(_ECHO + text, media=message.media, location=message.location)


class Script:
    """Follows its steps once in every chat; what the next step does not expect is read and left without an answer."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    def answer(self, world: World, post: Post) -> Answer | None:
        key = f"script:{post.message.chat_id}"
        done = int(world.fact(key) or 0)
        if done >= len(self._steps) or not self._steps[done].matches(post.message.text):
            return None
        world.set_fact(key, str(done + 1))
        return Answer(self._steps[done].reply)


def persona_of(settings: SandboxSettings) -> Persona | None:
    """None where a person answers."""
    match settings.persona:
        case "echo":
            return Echo()
        case "script":
            return Script(settings.script)
        case "human":
            return None


class Attendant:
    """Gives our messages their receipts and answers, each once, in the order they were sent, over restarts too."""

    def __init__(self, world: World, phone: Phone, settings: SandboxSettings, sleep: Sleep) -> None:
        self._world = world
        self._phone = phone
        self._persona = persona_of(settings)
        self._delay = settings.reply_delay_ms / 1000
        self._sleep = sleep

    async def run(self) -> None:
        while True:
            version = self._world.version
            for post in self._world.sent_after(int(self._world.fact(_ATTENDED) or 0)):
                await self._attend(post)
            await self._world.changed_since(version)

    async def _attend(self, post: Post) -> None:
        chat = self._world.chat(post.message.chat_id)
        if chat.id == FAILING:
            self._phone.receipt(post, ReceiptStatus.FAILED, "The sandbox fails every message in 'failing'.")
        elif self._phone.people(chat):
            self._phone.receipt(post, ReceiptStatus.DELIVERED)
            if self._persona is not None:
                self._phone.receipt(post, ReceiptStatus.READ)
                await self._sleep(self._delay)
        with self._world.change():
            self._world.set_fact(_ATTENDED, str(post.position))
            self._answer(post.message.id)

    def _answer(self, message_id: str) -> None:
        post = self._world.find_post(message_id)
        if self._persona is None or post is None or post.deleted or post.status is not ReceiptStatus.READ:
            return
        answer = self._persona.answer(self._world, post)
        if answer is not None:
            self._phone.write(post.message.chat_id, answer.text, media=answer.media, location=answer.location)

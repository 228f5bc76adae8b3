"""Telegram keeps the contract of all messengers."""

from typing import Any

import pytest

from providers.base import Provider
from providers.capabilities import Capability
from providers.events import MessageEdited, ReactionChanged
from providers.models import Contact, Location, Poll, Upload
from tests.providers.contract import ProviderContract
from tests.providers.harness import Harness, Seen
from tests.providers.telegram.conftest import Station
from tests.standins.telegram_bot_api.bot import StandInBot
from tests.standins.telegram_bot_api.server import calls_of


class TelegramHarness(Harness):
    lacking = frozenset({Capability.GROUP_MESSAGES})
    reports = frozenset({MessageEdited, ReactionChanged})

    def __init__(self, station: Station) -> None:
        self._station = station
        self._ann = station.bot.person("Ann")
        self.settings = station.settings()
        self.chat_id = self.person_id = str(self._ann)

    @property
    def _bot(self) -> StandInBot:
        return self._station.bot

    def create(self) -> Provider:
        return self._station.make()

    def _held(self, message_id: str) -> dict[str, Any] | None:
        chat, number = map(int, message_id.split(":"))
        return self._bot.messages.get((chat, number))

    async def write(self, text: str, *, reply_to: str | None = None, upload: Upload | None = None) -> str:
        replied = self._held(reply_to) if reply_to else None
        if upload is not None:
            message = self._bot.user_sends_photo(self._ann, upload.content, caption=text, reply_to_message=replied)
        else:
            message = self._bot.user_writes(self._ann, text, reply_to_message=replied)
        return f"{self._ann}:{message['message_id']}"

    async def write_misshapen(self, text: str) -> str:
        message = self._bot.user_writes(self._ann, text, poll={"question": 5}, quote=7, forward_origin="a page")
        return f"{self._ann}:{message['message_id']}"

    async def bring_strange(self) -> None:
        await self._station.telegram.until_called(self._bot, "getUpdates")
        strange: list[Any] = ["a text", [], {"id": [1], "date": 10**30, "chat": {"id": 10**30, "type": "private"}, "message_id": "x"}]
        for kind in ("message", "poll_answer", "poll", "callback_query", "business_connection", "business_message", "message_reaction"):
            for payload in strange:
                self._bot.update(kind, payload)

    async def edit(self, message_id: str, text: str) -> None:
        message = self._held(message_id)
        assert message is not None
        self._bot.user_edits(message, text)

    async def react(self, message_id: str, emoji: str | None) -> None:
        await self._station.telegram.until_called(self._bot, "getUpdates")
        message = self._held(message_id)
        assert message is not None
        self._bot.user_reacts(message, *([emoji] if emoji else []), by=self._ann)

    async def refuse_second_send(self) -> None:
        self._bot.hold_next("sendMessage").let_go.set()
        self._bot.fail_next("sendMessage", 403, "Forbidden: bot was blocked by the user")

    async def choices(self, message_id: str) -> dict[str, str]:
        message = self._held(message_id)
        assert message is not None
        return {button["callback_data"]: button["text"] for row in message["reply_markup"]["inline_keyboard"] for button in row}

    async def choose(self, message_id: str, choice_id: str) -> None:
        message = self._held(message_id)
        assert message is not None
        press = self._bot.user_presses(message, choice_id, by=self._ann)
        await self._station.telegram.until(lambda: press in self._bot.answered)

    async def thread(self) -> str:
        return str(self._bot.topic(self._ann, "News"))

    async def seen(self, message_id: str) -> Seen:
        message = self._held(message_id)
        if message is None:
            return Seen(deleted=True)
        chat, number = map(int, message_id.split(":"))
        place, poll, photo = message.get("location"), message.get("poll"), message.get("photo")
        reactions = self._bot.reactions.get((chat, number), [])
        return Seen(
            text=message.get("text") or message.get("caption", ""),
            reply_to=f"{chat}:{message['reply_to_message']['message_id']}" if "reply_to_message" in message else None,
            reaction=reactions[0]["emoji"] if reactions else None,
            file=self._bot.files[photo[-1]["file_id"]].content if photo else None,
            location=Location(**place) if place else None,
            poll=_poll(poll) if poll else None,
            contact=_contact(message["contact"]) if "contact" in message else None,
            pinned=(chat, number) in self._bot.pinned,
            forwarded="forward_origin" in message,
            thread_id=str(message["message_thread_id"]) if "message_thread_id" in message else None,
        )

    async def previewed(self) -> str | None:
        return self._bot.drafts.get(int(self.chat_id), (0, None))[1]

    async def is_typing(self) -> bool:
        call = await self._station.telegram.until_called(self._bot, "sendChatAction")
        return call.params["action"] == "typing" and len(calls_of(self._bot, "sendChatAction")) == 1


def _poll(poll: dict[str, Any]) -> Poll:
    return Poll(question=poll["question"], options=tuple(option["text"] for option in poll["options"]), multiple=poll["allows_multiple_answers"])


def _contact(card: dict[str, Any]) -> Contact:
    return Contact(id="", name=f"{card['first_name']} {card.get('last_name', '')}".strip(), phone=card["phone_number"])


@pytest.fixture
def harness(station: Station) -> TelegramHarness:
    return TelegramHarness(station)


class TestTelegram(ProviderContract):
    pass

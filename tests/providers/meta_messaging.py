"""The far end of Messenger and Instagram, for the contract of all messengers."""

from typing import Any

from providers.base import Provider
from providers.events import MessageEdited, ReactionChanged, ReceiptChanged
from providers.models import Upload
from tests.providers.harness import Harness, Seen
from tests.providers.meta_station import Station
from tests.standins.graph_api import MessagingAccount
from tests.standins.graph_api.refusal import bad_parameter


class MessagingHarness(Harness):
    reports = frozenset({MessageEdited, ReactionChanged, ReceiptChanged})

    def __init__(self, station: Station[MessagingAccount]) -> None:
        self._station = station
        self._account = station.account
        self.settings = station.settings()
        self.chat_id = self.person_id = self._account.person("Ann Lee")

    def create(self) -> Provider:
        return self._station.make()

    async def write(self, text: str, *, reply_to: str | None = None, upload: Upload | None = None) -> str:
        if upload is not None:
            return self._account.sends_file(self.chat_id, self._account.store(upload.content, upload.name, upload.mime), text=text)
        return self._account.writes(self.chat_id, text, reply_to=reply_to)

    async def write_misshapen(self, text: str) -> str:
        return self._account.says(self.chat_id, text=text, attachments=[{"type": "location", "payload": {"coordinates": {"north": 1}}}])

    async def bring_strange(self) -> None:
        strange: list[Any] = [{}, {"sender": 5, "message": {}}, {"sender": {"id": self.chat_id}, "timestamp": "soon"}, {"message": {"mid": []}}]
        self._account.queue(self._account.delivery(strange))

    async def edit(self, message_id: str, text: str) -> None:
        self._account.event(self.chat_id, message_edit={"mid": message_id, "text": text, "num_edit": 1})

    async def react(self, message_id: str, emoji: str | None) -> None:
        self._account.reacts(self.chat_id, message_id, emoji)

    async def bring_nothing(self) -> None:
        self._account.event(self.chat_id, read={"watermark": 1})

    async def refuse_second_send(self) -> None:
        self._account.hold_next("messages").let_go.set()
        self._account.fail_next("messages", bad_parameter("refused"))

    async def choices(self, message_id: str) -> dict[str, str]:
        return {one["payload"]: one["title"] for one in self._account.messages[message_id]["quick_replies"]}

    async def choose(self, message_id: str, choice_id: str) -> None:
        title = (await self.choices(message_id))[choice_id]
        self._account.says(self.chat_id, text=title, quick_reply={"payload": choice_id})

    async def seen(self, message_id: str) -> Seen:
        message = self._account.messages[message_id]
        file = message.get("file")
        return Seen(
            text=message.get("text") or self._caption(message_id),
            reply_to=message.get("reply_to", {}).get("mid"),
            reaction=self._account.reactions.get(message_id),
            read=message_id in self._account.seen,
            file=None if file is None else file.content,
        )

    def _caption(self, message_id: str) -> str:
        """The next message: files have none of their own."""
        after = self._account.order[self._account.order.index(message_id) + 1 :]
        return self._account.messages[after[0]]["text"] if after else ""

    async def has_control(self) -> bool:
        return self.chat_id not in self._account.elsewhere

    async def is_typing(self) -> bool:
        return self.chat_id in self._account.typing

"""The Cloud API keeps the contract of all messengers."""

import pytest

from providers.base import Provider
from providers.events import MessageDeleted, MessageEdited, ReactionChanged, ReceiptChanged
from providers.models import Contact, Location, Upload
from tests.providers.contract import ProviderContract
from tests.providers.harness import Harness, Seen
from tests.providers.meta_station import Station
from tests.standins.graph_api import WhatsAppNumber
from tests.standins.graph_api.refusal import bad_parameter


class WhatsAppHarness(Harness):
    joins_by_link = True
    reports = frozenset({MessageEdited, MessageDeleted, ReactionChanged, ReceiptChanged})

    def __init__(self, station: Station[WhatsAppNumber]) -> None:
        self._station = station
        self._number = station.account
        self.settings = station.settings()
        self.chat_id = self.person_id = self._number.person("Ann")

    def create(self) -> Provider:
        return self._station.make()

    async def log_in(self, provider: Provider) -> None:
        """Typing is shown only as an answer."""
        self._number.writes(self.chat_id, "hello there")
        await self._station.graph.until(lambda: not self._number.pending)

    async def write(self, text: str, *, reply_to: str | None = None, upload: Upload | None = None) -> str:
        if upload is not None:
            return self._number.sends_file(self.chat_id, self._number.store(upload.content, upload.name, upload.mime), text)
        return self._number.writes(self.chat_id, text, reply_to=reply_to)

    async def write_misshapen(self, text: str) -> str:
        return self._number.says(self.chat_id, type="image", image={"caption": text}, context=7, referral=[])

    async def bring_strange(self) -> None:
        for value in ({"messages": ["x", {}, {"from": 5, "timestamp": 10**30}]}, {"statuses": "x"}, {"contacts": [1], "messages": [[]]}):
            self._number.queue(self._number.delivery(value))

    async def edit(self, message_id: str, text: str) -> None:
        change = {"original_message_id": message_id, "message": {"type": "text", "text": {"body": text}}}
        self._number.says(self.chat_id, type="edit", edit=change)

    async def delete(self, message_id: str) -> None:
        self._number.says(self.chat_id, type="revoke", revoke={"original_message_id": message_id})

    async def react(self, message_id: str, emoji: str | None) -> None:
        reaction = {"message_id": message_id} | ({"emoji": emoji} if emoji else {})
        self._number.says(self.chat_id, type="reaction", reaction=reaction)

    async def bring_nothing(self) -> None:
        other = {"messaging_product": "whatsapp", "metadata": {"display_phone_number": "15559999", "phone_number_id": "999"}, "messages": []}
        self._number.queue(self._number.delivery(other))

    async def refuse_second_send(self) -> None:
        self._number.hold_next("messages").let_go.set()
        self._number.fail_next("messages", bad_parameter("refused"))

    async def choices(self, message_id: str) -> dict[str, str]:
        action = self._number.messages[message_id]["interactive"]["action"]
        return {button["reply"]["id"]: button["reply"]["title"] for button in action["buttons"]}

    async def choose(self, message_id: str, choice_id: str) -> None:
        picked = {"id": choice_id, "title": (await self.choices(message_id))[choice_id]}
        context = {"from": self._number.display, "id": message_id}
        self._number.says(self.chat_id, type="interactive", context=context, interactive={"type": "button_reply", "button_reply": picked})

    async def seen(self, message_id: str) -> Seen:
        message = self._number.messages[message_id]
        held = message.get("seen", {})
        place, cards = message.get("location"), message.get("contacts")
        return Seen(
            text=held.get("text", ""),
            reply_to=message.get("context", {}).get("message_id"),
            reaction=self._number.reactions.get(message_id),
            read=message_id in self._number.read,
            file=held.get("file"),
            location=Location(latitude=float(place["latitude"]), longitude=float(place["longitude"])) if place else None,
            contact=Contact(id="", name=cards[0]["name"]["formatted_name"], phone=cards[0]["phones"][0]["phone"]) if cards else None,
        )

    async def join(self, group_id: str) -> None:
        self._number.joins(group_id, self.person_id)

    async def ask_to_join(self, group_id: str) -> None:
        self._number.groups[group_id]["asking"]["question-1"] = self.person_id

    async def has_control(self) -> bool:
        return self.chat_id not in self._number.elsewhere

    async def is_typing(self) -> bool:
        return self.chat_id in self._number.typing


@pytest.fixture
def harness(station: Station[WhatsAppNumber]) -> WhatsAppHarness:
    return WhatsAppHarness(station)


class TestWhatsAppOfficial(ProviderContract):
    pass

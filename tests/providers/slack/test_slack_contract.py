"""Slack keeps the contract of all messengers."""

from typing import Any

import pytest
from pydantic import SecretStr

from providers.base import Provider
from providers.events import MessageDeleted, MessageEdited, ReactionChanged
from providers.models import Upload
from providers.slack.emoji import emoji_of, name_of
from providers.slack.markup import entities, from_mrkdwn
from providers.text import clean
from tests.providers.contract import ProviderContract
from tests.providers.harness import Harness, Running, Seen
from tests.providers.slack.conftest import Station
from tests.standins.slack_api.workspace import BOT


class SlackHarness(Harness):
    reports = frozenset({MessageEdited, MessageDeleted, ReactionChanged})

    def __init__(self, station: Station) -> None:
        self._station = station
        self._slack = station.slack
        self.settings = station.settings()
        self.chat_id, self.person_id = station.dm, station.ann
        self._slack.owner = station.ann
        self._shed = self._slack.channel("shed", station.ann)

    def create(self) -> Provider:
        return self._station.make(user_token=SecretStr(self._slack.user_token))

    @property
    def archivable(self) -> str:
        return self._shed

    async def is_archived(self) -> bool:
        return self._slack.channels[self._shed].is_archived

    def _held(self, message_id: str) -> dict[str, Any] | None:
        channel, ts = message_id.split(":")
        return self._slack.channels[channel].find(ts)

    async def write(self, text: str, *, reply_to: str | None = None, upload: Upload | None = None) -> str:
        answered = self._held(reply_to) if reply_to else None
        thread = answered.get("thread_ts", answered["ts"]) if answered else None
        if upload is not None:
            message = self._slack.user_sends_file(self.chat_id, upload.content, upload.name, by=self.person_id, text=text, thread_ts=thread)
        else:
            message = self._slack.user_writes(self.chat_id, entities(text), by=self.person_id, thread_ts=thread)
        return f"{self.chat_id}:{message['ts']}"

    async def write_misshapen(self, text: str) -> str:
        attachment = {"is_share": True, "text": "shared", "ts": "yesterday", "files": [{"mode": "hosted"}]}
        unlike: dict[str, Any] = {"attachments": [attachment], "metadata": "none", "blocks": [{"type": "rich_text", "elements": 1}]}
        message = self._slack.user_writes(self.chat_id, text, by=self.person_id, **unlike)
        return f"{self.chat_id}:{message['ts']}"

    async def bring_strange(self) -> None:
        for event in ({}, {"type": "message", "channel": 5}, {"type": "message", "channel": self.chat_id, "ts": "1e999"}, {"type": ["message"]}):
            self._slack.emit(event)
        strange: list[Any] = ["a text", [1], 5, None]
        for payload in strange:
            self._slack.sockets.push("events_api", payload)

    async def edit(self, message_id: str, text: str) -> None:
        channel, ts = message_id.split(":")
        self._slack.user_edits(channel, ts, entities(text))

    async def delete(self, message_id: str) -> None:
        channel, ts = message_id.split(":")
        self._slack.user_deletes(channel, ts)

    async def react(self, message_id: str, emoji: str | None) -> None:
        channel, ts = message_id.split(":")
        self._slack.reacts(channel, ts, name_of(emoji or "👍"), by=self.person_id, takes_back=emoji is None)

    async def bring_nothing(self) -> None:
        message = self._slack.user_writes(self.chat_id, "see https://a.example", by=self.person_id)
        self._slack.link_unfurls(self.chat_id, message["ts"])

    async def refuse_second_send(self) -> None:
        self._slack.hold_next("chat.postMessage").let_go.set()
        self._slack.fail_next("chat.postMessage", 200, "is_archived")

    async def choices(self, message_id: str) -> dict[str, str]:
        message = self._held(message_id)
        assert message is not None
        buttons = [button for block in message["blocks"] if block["type"] == "actions" for button in block["elements"]]
        return {button["value"]: button["text"]["text"] for button in buttons}

    async def choose(self, message_id: str, choice_id: str) -> None:
        channel, ts = message_id.split(":")
        self._slack.sockets.push("interactive", self._slack.press(channel, ts, choice_id, by=self.person_id))

    async def thread(self) -> str:
        return await self.write("the first of a thread")

    async def is_typing(self) -> bool:
        return "is thinking…" in self._station.slack.statuses.values()

    async def seen(self, message_id: str) -> Seen:
        channel, message = message_id.split(":")[0], self._held(message_id)
        if message is None:
            return Seen(deleted=True)
        root = message.get("thread_ts")
        parent = f"{channel}:{root}" if root and root != message["ts"] else None
        ours = [one["name"] for one in message.get("reactions", []) if BOT in one["users"]]
        files = message.get("files", [])
        return Seen(
            text=clean(from_mrkdwn(message["text"], {})[0]),
            reply_to=parent,
            thread_id=parent,
            reaction=emoji_of(ours[0]) if ours else None,
            file=self._slack.files[files[0]["id"]].content if files else None,
            pinned=channel in message.get("pinned_to", ()),
            read=self._slack.read_marks.get((self.person_id, channel), "") >= message["ts"],
        )


@pytest.fixture
def harness(station: Station) -> SlackHarness:
    return SlackHarness(station)


class TestSlack(ProviderContract):
    async def test_replies_both_ways(self, running: Running) -> None:
        """Slack has threads and no replies in them: whoever answers in a thread answers its first message."""
        question = await running.harness.write("who?")
        await running.inbox.message("who?")
        sent = await running.provider.send(running.draft("me", reply_to=question))
        assert (await running.harness.seen(sent.id)).reply_to == question
        await running.harness.write("fine", reply_to=sent.id)
        answer = (await running.inbox.message("fine")).message
        assert (answer.reply_to, answer.thread_id) == (question, question)
        again = await running.provider.send(running.draft("good", reply_to=answer.id))
        assert (await running.harness.seen(again.id)).reply_to == question

"""Each messenger as the cases have it: its stand-in with the people and places that are given, one instance, and what goes in and out."""

import json
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import anyio

from mcp_messenger.operations.application import App
from providers.base import WebhookRequest
from providers.states import InstanceState
from tests.cases.place import Place
from tests.standins.discord_api import DiscordStandIn
from tests.standins.discord_api.server import address
from tests.standins.discord_api.world import StandInBot, world_time
from tests.standins.faults import Script
from tests.standins.graph_api import GraphStandIn, MessagingAccount, WhatsAppNumber
from tests.standins.graph_api.account import Account, Person
from tests.standins.slack_api import SlackStandIn
from tests.standins.slack_api.workspace import BOT
from tests.standins.telegram_bot_api import TelegramStandIn
from tests.waiting import until

Json = dict[str, Any]
Request = tuple[str, Json]
"""A call of ours: its method as the cases name it, and its fields."""

TAKEN_WITHIN = 20.0
"""Seconds; a delivery that is never taken fails its case soon enough."""


class Messenger:
    """One instance of a messenger. `feed` returns when what was fed is in the store."""

    provider: ClassVar[str]
    hidden_chats: frozenset[str] = frozenset()
    """Chats that are the harness's own."""

    def __init__(self, place: Place, case: Json) -> None:
        self.place = place
        self.case = case
        self.instance_id = ""
        self._open = AsyncExitStack()

    @property
    def callback(self) -> str:
        return f"/webhooks/{self.provider}/{self.instance_id}"

    async def start(self, *, agent: bool) -> None:
        self.instance_id = await self.place.make(self.provider, await self.given(), agent=agent)
        await self.begun()

    async def stop(self) -> None:
        await self.place.call("delete_instance", instance_id=self.instance_id, purge=True)
        await self._open.aclose()

    async def restarted(self) -> None:
        """Called when the application was started again. Returns when the instance is ready."""
        await until(lambda: _is_ready(self.place.app, self.instance_id), TAKEN_WITHIN)
        await self.begun()

    async def given(self) -> Json:
        """The stand-in at work; the credentials of the instance."""
        raise NotImplementedError

    async def begun(self) -> None:
        """Called when the instance is ready."""

    async def feed(self, kind: str, payload: Json) -> None:
        raise NotImplementedError

    def script(self, method: str, script: Script) -> None:
        raise NotImplementedError

    def requests(self) -> list[Request]:
        raise NotImplementedError


def _is_ready(app: App, instance_id: str) -> bool:
    owned = app.supervisor.get(UUID(instance_id))
    return owned is not None and owned.provider.state.state is InstanceState.READY


class Telegram(Messenger):
    provider = "telegram"

    async def given(self) -> Json:
        self.telegram = await self._open.enter_async_context(TelegramStandIn())
        self.bot = self.telegram.add_bot("777000111:FAKE-TOKEN-OF-A-STAND-IN", name="Robo", username="robo_bot")
        for id, name in ((1001, "Ann"), (1002, "Bob"), (1003, "Carol")):
            self._meet({"id": id, "is_bot": False, "first_name": name})
        self._meet_chat({"id": -1002000000001, "type": "supergroup", "title": "Garden club", "is_forum": True})
        return {"token": self.bot.token, "base_url": self.telegram.url}

    async def begun(self) -> None:
        # Before the first getUpdates Telegram does not know which updates are wanted.
        with anyio.fail_after(TAKEN_WITHIN):
            await self.telegram.until_called(self.bot, "getUpdates")

    def _meet(self, person: Json) -> None:
        self.bot.users[person["id"]] = person
        if person["id"] != self.bot.id:
            self._meet_chat({key: value for key, value in person.items() if key != "is_bot"} | {"type": "private"})

    def _meet_chat(self, chat: Json) -> None:
        self.bot.chats.setdefault(chat["id"], chat)

    async def feed(self, kind: str, payload: Json) -> None:
        """An update gets the stand-in's own number: Telegram's go up by one."""
        ((what, told),) = [(key, value) for key, value in payload.items() if key != "update_id"]
        for found in _objects(payload):
            if {"message_id", "chat"} <= found.keys():
                self._meet_chat(found["chat"])
                self.bot.messages[found["chat"]["id"], found["message_id"]] = found
            if {"id", "is_bot", "first_name"} <= found.keys():
                self._meet(found)
        if what == "callback_query":
            self.bot.presses.add(told["id"])
        update = self.bot.update(what, told)
        if update is not None:
            with anyio.fail_after(TAKEN_WITHIN):
                await self.telegram.until(lambda: update not in self.bot.pending)

    def script(self, method: str, script: Script) -> None:
        self.bot.scripts[method.lower()] = script
        for body in script.bodies:
            result = body.get("result")
            if isinstance(result, dict) and "message_id" in result:
                self.bot.messages[result["chat"]["id"], result["message_id"]] = result

    def requests(self) -> list[Request]:
        return [(call.method, {**call.params, **{name: file.name for name, file in call.files.items()}}) for call in self.bot.calls]


class Slack(Messenger):
    provider = "slack"

    async def given(self) -> Json:
        self.slack = slack = await self._open.enter_async_context(SlackStandIn())
        slack.installed_in = {"team_id": "T0TEAM1"}
        for id, name in (("U01ANN", "Ann Lee"), ("U02BOB", "Bob Stone"), ("U03CAROL", "Carol")):
            slack.person(name, id)
        slack.channel("general", "U01ANN", "U02BOB", "U03CAROL", id="C01GEN")
        slack.channel("ops", "U01ANN", "U02BOB", id="C02OPS")
        slack.channel("", "U01ANN", kind="im", id="D01ANN")
        return {"bot_token": slack.bot_token, "signing_secret": slack.signing_secret, "base_url": slack.api}

    async def feed(self, kind: str, payload: Json) -> None:
        payload = self._here(payload)
        match kind:
            case "event":
                self._keep(payload["event"])
                request = self.slack.signed(payload)
            case "interaction":
                request = self._form({"payload": json.dumps(payload)})
            case _:
                request = self._form(payload)
        status = await self.place.post(self.callback, request.body, dict(request.headers))
        assert status == 200, status

    def _here(self, payload: Json) -> Json:
        """With the stand-in's own response_url."""
        if "response_url" not in payload:
            return payload
        return {**payload, "response_url": f"{self.slack.url()}/response/1"}

    def _form(self, fields: Json) -> WebhookRequest:
        return self.slack.signed_body(urlencode(fields).encode(), "application/x-www-form-urlencoded")

    def _keep(self, event: Json) -> None:
        channel = self.slack.channels.get(event.get("channel", ""))
        if event["type"] != "message" or channel is None:
            return
        message = event.get("message", event)
        known = channel.find(message["ts"])
        if known is None:
            channel.messages.append(dict(message))
        else:
            known.update(message)

    def script(self, method: str, script: Script) -> None:
        self.slack.scripts[method] = script
        for body in script.bodies:
            channel = self.slack.channels.get(str(body.get("channel")))
            if method == "chat.postMessage" and channel is not None:
                channel.messages.append({"type": "message", "user": BOT, "bot_id": "B0ROBO", "ts": body["ts"], "text": ""})

    def requests(self) -> list[Request]:
        posted = [("response_url", body) for body in self.slack.responses]
        return [(call.method, dict(call.params)) for call in self.slack.calls] + posted


class SlackOrganization(Slack):
    async def given(self) -> Json:
        credentials = await super().given()
        self.slack.installed_in = {"team_id": "E0ORG", "enterprise_id": "E0ORG", "is_enterprise_install": True}
        self.slack.needs_team = True
        return credentials


class Discord(Messenger):
    provider = "discord"
    guild, general, marker = "900000000000000001", "900000000000000002", "900000000000000999"
    hidden_chats = frozenset({marker})

    async def given(self) -> Json:
        self.discord = await self._open.enter_async_context(DiscordStandIn())
        world = self.discord.world
        user: Json = {"id": "900000000000000009", "username": "robo", "global_name": "Robo", "discriminator": "0", "avatar": None, "bot": True}
        self.bot = StandInBot(
            "FAKE-TOKEN-OF-A-STAND-IN.1", user, {"id": user["id"], "name": "Robo", "description": "", "flags": 1 << 19, "bot": user}
        )
        world.bots[self.bot.token] = self.bot
        world.users[user["id"]] = user
        for id, name in (("900000000000000101", "Ann"), ("900000000000000102", "Bob")):
            world.users[id] = {"id": id, "username": name.lower(), "global_name": name, "discriminator": "0", "avatar": None, "bot": False}
        roles = [
            {"id": self.guild, "name": "@everyone", "permissions": "0"},
            {"id": "900000000000000010", "name": "Robo", "permissions": "0", "managed": True, "tags": {"bot_id": user["id"]}},
            {"id": "900000000000000011", "name": "Gardeners", "permissions": "0"},
        ]
        people = [user["id"], "900000000000000101", "900000000000000102"]
        world.guilds[self.guild] = {"id": self.guild, "name": "Works", "people": people, "joined_at": world_time(), "roles": roles}
        self._channel(self.general, "general", 0)
        self._channel(self.marker, "marker", 0)
        self._channel("900000000000000301", "Moles", 11, self.general)
        self._channel("900000000000000302", "questions", 15)
        self._channel("900000000000000303", "Scanner is too slow", 11, "900000000000000302")
        return {"bot_token": self.bot.token, "base_url": self.discord.base_url}

    def _channel(self, id: str, name: str, kind: int, parent: str | None = None) -> None:
        channel = {"id": id, "type": kind, "name": name, "guild_id": self.guild, "parent_id": parent, "last_message_id": None}
        self.discord.world.channels[id] = channel

    async def begun(self) -> None:
        with anyio.fail_after(TAKEN_WITHIN):
            await self.discord.until(lambda: any(session.send for session in self.bot.sessions.values()))

    async def feed(self, kind: str, payload: Json) -> None:
        """An event, and a message after it: when that is stored, what came before it is."""
        world, data = self.discord.world, payload["d"]
        if payload["t"] == "MESSAGE_CREATE":
            world.messages[data["channel_id"]][data["id"]] = dict(data)
        elif payload["t"] == "MESSAGE_UPDATE" and data["id"] in world.messages[data["channel_id"]]:
            world.messages[data["channel_id"]][data["id"]].update(data)
        elif payload["t"] == "INTERACTION_CREATE":
            world.presses[data["id"]] = data["token"]
            if "message" in data:
                world.messages[data["channel_id"]].setdefault(data["message"]["id"], data["message"])
        for session in self.bot.sessions.values():
            session.dispatch(payload["t"], data)
        last = world.write(self.marker, "900000000000000101", "a marker")
        stored = "SELECT count(*) FROM messages WHERE instance_id = %s AND platform_id LIKE %s"
        await until(lambda: self.place.one(stored, self.instance_id, f"%{last['id']}"), TAKEN_WITHIN)
        if payload["t"] == "INTERACTION_CREATE":
            # It is answered after it was taken, together with what came with it.
            with anyio.move_on_after(1):
                await self.discord.until(lambda: bool(self.discord.calls_of("create_interaction_response")))

    def script(self, method: str, script: Script) -> None:
        self.discord.scripts[method] = script
        posted = re.fullmatch(r"POST /channels/(\d+)/messages", method)
        for body in script.bodies:
            if posted and "id" in body:
                self.discord.world.messages[posted[1]][body["id"]] = {**_BARE, **body}

    def requests(self) -> list[Request]:
        return [(address(call), call.body if isinstance(call.body, dict) else {}) for call in self.discord.calls]


_BARE = {"edited_timestamp": None, "embeds": [], "components": [], "mentions": [], "mention_roles": [], "flags": 0, "pinned": False}


A = TypeVar("A", bound=Account)


class Meta(Messenger, Generic[A]):
    graph: GraphStandIn
    account: A

    async def begun(self) -> None:
        self.account.callback = self.place.url + self.callback

    async def feed(self, kind: str, payload: Json) -> None:
        self.meet(payload)
        self.account.queue(payload)
        with anyio.fail_after(TAKEN_WITHIN):
            await self.graph.until(lambda: not self.account.pending)

    def meet(self, payload: Json) -> None:
        """Have the stand-in know the people and messages of a delivery."""
        raise NotImplementedError

    def script(self, method: str, script: Script) -> None:
        self.account.scripts[method] = script

    def requests(self) -> list[Request]:
        return [(f"{call.method} {call.path.rpartition('/')[2]}", dict(call.body)) for call in self.account.calls]

    async def credentials(self, **own: str) -> Json:
        account = self.account
        common = {"webhook_verify_token": account.verify_token, "app_secret": account.app_secret, "base_url": self.graph.url}
        return {**common, **own}


class WhatsAppOfficial(Meta[WhatsAppNumber]):
    provider = "whatsapp-official"

    async def given(self) -> Json:
        self.graph = await self._open.enter_async_context(GraphStandIn())
        self.account = number = self.graph.add_number("106500000000001")
        number.business_account, number.display, number.shown_as = "880000000000001", "15550009999", "+1 555-000-9999"
        return await self.credentials(phone_number_id=number.id, access_token=number.token, business_account_id=number.business_account)

    def meet(self, payload: Json) -> None:
        for change in [change for entry in payload["entry"] for change in entry["changes"]]:
            value = change["value"]
            names = {one.get("wa_id"): one.get("profile", {}).get("name", "") for one in value.get("contacts", [])}
            for message in value.get("messages", []):
                self._meet(message, names)

    def _meet(self, message: Json, names: Json) -> None:
        person = message.get("from") or message.get("from_user_id")
        if person is None:
            return
        if message["type"] == "system":
            self.account.is_renamed(person, message["system"].get("wa_id", person))
            return
        self.account.people[person] = Person(person, names.get(person, ""), float(message["timestamp"]))
        self.account.messages[message["id"]] = {**message, "from": person}


class MetaMessaging(Meta[MessagingAccount]):
    def meet(self, payload: Json) -> None:
        for item in [item for entry in payload["entry"] for item in [*entry.get("messaging", []), *entry.get("standby", [])]]:
            ids = [item[side]["id"] for side in ("sender", "recipient") if side in item]
            message = item.get("message", {})
            for person in set(ids) - {self.account.id}:
                known = self.account.people.setdefault(person, Person(person, "Ann Lee", None))
                if message and not message.get("is_echo"):
                    known.last_wrote = item["timestamp"] / 1000
                if "mid" in message:
                    self.account.messages[message["mid"]] = {**message, "chat": person, "by": ids[0], "at": item["timestamp"] / 1000}


class FacebookMessenger(MetaMessaging):
    provider = "facebook-messenger"

    async def given(self) -> Json:
        self.graph = await self._open.enter_async_context(GraphStandIn())
        self.account = self.graph.add_page("220000000000001")
        return await self.credentials(page_id=self.account.id, page_access_token=self.account.token)


class Instagram(MetaMessaging):
    provider = "instagram"

    async def given(self) -> Json:
        self.graph = await self._open.enter_async_context(GraphStandIn())
        self.account = self.graph.add_instagram("17840000000000001")
        return await self.credentials(ig_user_id=self.account.id, access_token=self.account.token)


_BY_STEP: dict[str, type[Messenger]] = {"update": Telegram, "gateway": Discord, "event": Slack, "interaction": Slack, "command": Slack}
_BY_OBJECT: dict[str, type[Messenger]] = {"whatsapp_business_account": WhatsAppOfficial, "page": FacebookMessenger, "instagram": Instagram}
_BY_METHOD: tuple[tuple[str, type[Messenger]], ...] = (
    (r"send[A-Z]\w+", Telegram),
    (r"(chat|users|conversations|auth)\..*", Slack),
    (r"(GET|POST) /channels/.*", Discord),
    (r"POST messages", WhatsAppOfficial),
)
_BY_ID: dict[str, type[Messenger]] = {
    "bad-deep-meta": WhatsAppOfficial,
    "tg-": Telegram,
    "slack-org-": SlackOrganization,
    "slack-": Slack,
    "discord-": Discord,
    "wa-": WhatsAppOfficial,
}


def messenger_of(case: Json) -> type[Messenger]:
    """The messenger that a case is about."""
    for start, messenger in _BY_ID.items():
        if case["id"].startswith(start):
            return messenger
    for step in case["input"]:
        for kind in _BY_STEP.keys() & step.keys():
            return _BY_STEP[kind]
        if "webhook" in step:
            return _BY_OBJECT[step["webhook"]["object"]]
        if "answers" in step:
            return next(messenger for pattern, messenger in _BY_METHOD if re.fullmatch(pattern, step["answers"]["method"]))
    return Telegram


def _objects(value: Any) -> Iterable[Json]:
    """Every JSON object inside of a value, and itself."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)

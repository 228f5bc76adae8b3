"""People who write and a client that sends while managers die, and the count of what became of it all."""

import itertools
import random
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import httpx

from mcp_messenger.delivery.payload import webhook_id
from tests.managers import Manager, Managers
from tests.receiver import Receiver, receiver
from tests.standins.discord_api import DiscordStandIn
from tests.standins.slack_api import SlackStandIn
from tests.standins.telegram_bot_api import TelegramStandIn
from tests.stored import one, rows
from tests.waiting import until

WORKERS = 64
SETTLED = frozenset({"sent", "delivered", "read", "unknown", "failed"})
CLIENT_PATIENCE = 8.0
"""Seconds until a call is asked again elsewhere; a manager may be frozen."""
PATIENCE = 180.0
"""Seconds until a send's fate must be known, and until all must have come to its end."""
RETRY_EVERY = 0.1
EVENTS = ["message", "message_sent", "receipt", "state"]


class Account(ABC):
    """One account on a stand-in, seen from the platform's side."""

    def __init__(self) -> None:
        self.instance_id = ""
        self.chats: list[str] = []
        self.written: list[str] = []
        """What its people wrote."""

    @abstractmethod
    def creation(self) -> dict[str, Any]: ...

    @abstractmethod
    def writes(self, chat: str, text: str) -> None: ...

    @abstractmethod
    def seen(self) -> Counter[str]:
        """Texts that the platform took from us."""


class TelegramAccount(Account):
    def __init__(self, telegram: TelegramStandIn, chats: int) -> None:
        super().__init__()
        self._url = telegram.url
        self._bot = telegram.add_bot()
        self.chats = [str(self._bot.person(f"Person {number}")) for number in range(chats)]

    def creation(self) -> dict[str, Any]:
        return {"provider": "telegram", "credentials": {"token": self._bot.token, "base_url": self._url}}

    def writes(self, chat: str, text: str) -> None:
        self._bot.user_writes(int(chat), text)

    def seen(self) -> Counter[str]:
        return Counter(call.params["text"] for call in self._bot.sent)


class SlackAccount(Account):
    """Slack shows the bot its own messages too, with our nonce."""

    def __init__(self, slack: SlackStandIn, chats: int) -> None:
        super().__init__()
        self._slack = slack
        self._people: dict[str, str] = {}
        for number in range(chats):
            person = slack.person(f"Person {number}")
            self._people[slack.direct(person)] = person
        self.chats = list(self._people)

    def creation(self) -> dict[str, Any]:
        tokens = {"bot_token": self._slack.bot_token, "app_token": self._slack.app_token}
        return {"provider": "slack", "credentials": {**tokens, "base_url": self._slack.api}}

    def writes(self, chat: str, text: str) -> None:
        self._slack.user_writes(chat, text, by=self._people[chat])

    def seen(self) -> Counter[str]:
        return Counter(call.params["text"] for call in self._slack.calls_of("chat.postMessage"))


class DiscordAccount(Account):
    """Discord gives what was missed by the history of each channel, and shows the bot its own messages with our nonce."""

    def __init__(self, discord: DiscordStandIn, chats: int) -> None:
        super().__init__()
        self._discord = discord
        self._bot = discord.add_bot()
        works = discord.world.guild("Works", self._bot)
        self._ann = discord.world.person("Ann", works)
        self.chats = [discord.world.channel(works, f"room-{number}") for number in range(chats)]

    def creation(self) -> dict[str, Any]:
        return {"provider": "discord", "credentials": {"bot_token": self._bot.token, "base_url": self._discord.base_url}}

    def writes(self, chat: str, text: str) -> None:
        self._discord.world.write(chat, self._ann, text)

    def seen(self) -> Counter[str]:
        posted = (message for chat in self.chats for message in self._discord.world.messages[chat].values())
        return Counter(message["content"] for message in posted if message["author"]["id"] == self._bot.id)


@dataclass(frozen=True)
class Errand:
    """One message that is to be sent."""

    account: Account
    chat: str
    text: str

    @property
    def body(self) -> dict[str, str]:
        return {"to": self.chat, "message": self.text, "idempotency_key": f"key of {self.text}"}


@dataclass
class Traffic:
    """`told` is the fate of each text that was to be sent, as the client was told it."""

    database_url: str
    accounts: Sequence[Account]
    hook: Receiver
    random: random.Random
    told: dict[str, str] = field(default_factory=dict[str, str])
    workers: int = WORKERS
    repeats: int = 0
    progress: Callable[[], None] = lambda: None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def open(self, through: Manager) -> None:
        """Make an instance of every account and wait until all are ready."""
        async with httpx.AsyncClient(base_url=through.url, timeout=60, trust_env=False) as client:
            for account in self.accounts:
                webhook = {"enabled": True, "url": self.hook.url, "events": EVENTS}
                made = await client.post("/api/v1/instances", json={**account.creation(), "api_webhook_schema": webhook})
                assert made.is_success, made.text
                account.instance_id = made.json()["instance_id"]
        await until(lambda: one(self.database_url, "SELECT count(*) FROM message_instances WHERE status = 'ready'") == len(self.accounts), PATIENCE)

    async def flow(self, managers: Managers, each_way: int) -> None:
        """So many messages in, and so many out through managers at random."""
        errands: list[Errand] = []
        for number in itertools.islice(self._numbers, each_way):
            account = self.random.choice(self.accounts)
            errands.append(Errand(account, self.random.choice(account.chats), f"out {number}"))
        async with httpx.AsyncClient(timeout=CLIENT_PATIENCE, trust_env=False) as client, anyio.create_task_group() as workers:
            for _ in range(self.workers):
                workers.start_soon(self._work, managers, client, errands)

    async def _work(self, managers: Managers, client: httpx.AsyncClient, errands: list[Errand]) -> None:
        while errands:
            errand = errands.pop()
            account = self.random.choice(self.accounts)
            text = errand.text.replace("out", "in")
            account.written.append(text)
            account.writes(self.random.choice(account.chats), text)
            status = await until(partial(self._send, managers, client, errand), PATIENCE, RETRY_EVERY)
            assert status is not None
            self.told[errand.text] = status
            self.progress()

    async def _send(self, managers: Managers, client: httpx.AsyncClient, errand: Errand) -> str | None:
        """Try once, as a careful client does with the same key until it knows the fate; None: not known yet."""
        manager = self.random.choice(managers.members)
        try:
            answer = await client.post(f"{manager.url}/api/v1/instances/{errand.account.instance_id}/send", json=errand.body)
        except httpx.TransportError:
            # It died, or is being started again.
            self.repeats += 1
            return None
        if answer.is_success and (status := answer.json()["status"]) in SETTLED:
            return status
        assert answer.is_success or answer.status_code >= 500 or answer.status_code == 409, answer.text
        self.repeats += 1
        return None

    async def until_quiet(self) -> None:
        """All that was written is stored, nothing waits to be sent or posted."""
        written = sum(len(account.written) for account in self.accounts)
        await until(lambda: one(self.database_url, "SELECT count(*) FROM messages WHERE NOT outgoing") >= written, PATIENCE)
        await until(lambda: one(self.database_url, "SELECT count(*) FROM outbox") == 0, PATIENCE)
        await until(lambda: one(self.database_url, "SELECT count(*) FROM deliveries WHERE status = 'pending'") == 0, PATIENCE)

    def count(self) -> dict[str, int]:
        """Fails with what was lost, doubled, out of order, or told wrongly; else gives figures."""
        for account in self.accounts:
            self._count_in(account)
            self._count_out(account)
        self._count_events()
        self._count_posts()
        statuses = Counter(self.told.values())
        return {
            "in": sum(len(account.written) for account in self.accounts),
            "out": len(self.told),
            **statuses,
            "unknown, yet seen": sum(account.seen()[text] for account in self.accounts for text, told in self.told.items() if told == "unknown"),
            "repeated calls": self.repeats,
            "posts": len(self.hook.posted),
            "posted again": len(self.hook.posted) - len({posted.id for posted in self.hook.posted}),
        }

    def _count_in(self, account: Account) -> None:
        statement = "SELECT body FROM messages WHERE instance_id = %s AND NOT outgoing"
        stored = [body for (body,) in rows(self.database_url, statement, account.instance_id)]
        assert sorted(stored) == sorted(account.written), difference(stored, account.written)

    def _count_out(self, account: Account) -> None:
        statement = "SELECT body, status FROM messages WHERE instance_id = %s AND outgoing"
        stored = rows(self.database_url, statement, account.instance_id)
        assert len(stored) == len(dict(stored)), "one send became two messages"
        seen = account.seen()
        for text, status in stored:
            assert seen[text] <= 1, f"{text} went out {seen[text]} times, and is called {status}"
            assert status == "unknown" or (status in {"sent", "delivered", "read"} and seen[text] == 1), f"{text} is {status}, seen {seen[text]}"
            # What was unknown may have turned out to have been sent.
            assert self.told[text] in {status, "unknown"}, f"{text} was told to be {self.told[text]}, and is {status}"
        assert seen.keys() <= dict(stored).keys()

    def _count_events(self) -> None:
        logged = Counter(number for (number,) in rows(self.database_url, "SELECT message_id FROM events WHERE type = 'message'"))
        kept = {number for (number,) in rows(self.database_url, "SELECT id FROM messages WHERE status <> 'unknown'")}
        assert set(logged.values()) <= {1}, "a message is twice in the log"
        assert logged.keys() == kept
        unknown = {number for (number,) in rows(self.database_url, "SELECT id FROM messages WHERE status = 'unknown'")}
        statement = "SELECT message_id FROM events WHERE type = 'receipt' AND data->>'status' = 'unknown'"
        told = {number for (number,) in rows(self.database_url, statement)}
        assert unknown <= told, "of a message whose fate is unknown nobody was told"

    def _count_posts(self) -> None:
        """Each event at least once; those of a chat in the order of the log, when repetitions are left out."""
        # What came while all of them stopped (a state, say) is not lost: it waits for the next start.
        statement = """
            SELECT instance_id, id FROM events e WHERE type IN ('message', 'receipt', 'state')
              AND NOT EXISTS (SELECT FROM deliveries d WHERE d.event_id = e.id AND d.status = 'pending')"""
        logged = rows(self.database_url, statement)
        wanted = {webhook_id(instance_id, id) for instance_id, id in logged}
        cursors: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        known: set[str] = set()
        for posted in self.hook.posted:
            if posted.id not in known:
                known.add(posted.id)
                payload = posted.payload
                cursors[payload["instance_id"], payload["data"].get("chat", {}).get("id", "")].append(int(payload["data"]["cursor"]))
        assert wanted <= known, f"{len(wanted - known)} events of {len(wanted)} were not posted"
        for chat, posted in cursors.items():
            assert posted == sorted(posted), f"events of {chat} were posted out of order"


def difference(stored: Sequence[str], wanted: Sequence[str]) -> str:
    here, there = Counter(stored), Counter(wanted)
    return f"lost: {sorted((there - here).elements())}, doubled: {sorted((here - there).elements())}"


@asynccontextmanager
async def traffic(
    database_url: str, *, seed: int, telegrams: int = 4, slacks: int = 2, discords: int = 0, chats: int = 12
) -> AsyncGenerator[Traffic]:
    """A receiver of webhooks, and accounts on stand-ins."""
    async with receiver() as hook, TelegramStandIn() as telegram, DiscordStandIn() as discord, SlackStandIn() as first, SlackStandIn() as second:
        accounts: list[Account] = [TelegramAccount(telegram, chats) for _ in range(telegrams)]
        accounts += [SlackAccount(slack, chats) for slack in (first, second)[:slacks]]
        accounts += [DiscordAccount(discord, chats) for _ in range(discords)]
        yield Traffic(database_url, accounts, hook, random.Random(seed))

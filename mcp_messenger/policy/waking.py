"""Says who is a stranger, and whose messages reach agents by themselves: in waits, streams and notifications, as an instance's own agent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from db import pairing
from db.besides import Chat
from db.database import Database
from db.messages import MessageRow
from mcp_messenger.policy.decide import Target, wakes
from mcp_messenger.policy.model import DEFAULT, Policy, stored
from providers import REHEARSAL
from providers.models import ChatKind

WORDS = frozenset({"message", "message_edited", "transcript", "reaction"})
"""Events by which others say something."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Words of a chat. `mentions`: they name the account."""

    instance_id: UUID
    chat_id: str
    mentions: bool = False


def is_stranger(known: pairing.Known | None) -> bool:
    """Return whether the owner has neither trusted nor let in whoever this is, and they are no part of a rehearsal."""
    return known is None or not (known.trusted or known.paired or known.chat_id in REHEARSAL.get(known.provider, ()))


async def held_back(database: Database, words: Sequence[Incoming], *, also: Policy = DEFAULT) -> set[Incoming]:
    """Return those that wake no agent. `also`: a further policy that lets nobody through whom it holds back, such as that of a key."""
    found = await pairing.holding_back(database, list({one.instance_id for one in words})) if words else {}
    policies = {instance_id: stored(document) for instance_id, document in found.items()}
    judged = [one for one in words if one.instance_id in policies or also.inbound != DEFAULT.inbound]
    if not judged:
        return set()
    chats = list({(one.instance_id, one.chat_id) for one in judged})
    known = {(row.instance_id, row.chat_id): row for row in await pairing.known(database, chats)}
    return {
        one
        for one in judged
        if not all(_wakes(policy, one, known[one.instance_id, one.chat_id]) for policy in (policies.get(one.instance_id, DEFAULT), also))
    }


def _wakes(policy: Policy, one: Incoming, known: pairing.Known) -> bool:
    owner = policy.owner
    if owner is not None and (owner.instance_id, owner.chat_id) == (str(one.instance_id), one.chat_id):
        return policy.inbound.wake != "off"
    target = Target(
        one.chat_id,
        is_group=known.kind in {ChatKind.GROUP, ChatKind.CHANNEL},
        trusted=known.trusted or one.chat_id in REHEARSAL.get(known.provider, ()),
        paired=known.paired,
    )
    return wakes(policy, target, mentions=one.mentions)


def known_senders(known: Mapping[Chat, pairing.Known], incoming: Iterable[MessageRow]) -> tuple[frozenset[int], frozenset[int]]:
    """Return which of these messages of others are strangers', and which are of senders whom the messenger does not vouch for."""
    strange: set[int] = set()
    unverified: set[int] = set()
    for message in incoming:
        chat = known[message.instance_id, message.chat_id]
        sender = chat if message.sender_id is None else known[message.instance_id, message.sender_id]
        is_private = chat.kind == ChatKind.PRIVATE
        if is_stranger(chat if is_private else sender):
            strange.add(message.id)
        if sender.is_bot or (message.sender_id is None and not is_private):
            unverified.add(message.id)
    return frozenset(strange), frozenset(unverified)

"""Judges a call: a pure function of the policy and of facts."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from mcp_messenger.config.quiet_hours import parse_quiet
from mcp_messenger.policy.model import Outbound, Outcome, Policy
from mcp_messenger.policy.touch import WORDS, Touch

LINK = re.compile(
    r"[a-z][a-z0-9+.-]*://\S|\b(?:mailto|tel|sms|tg|https?|whatsapp|intent):\S|\]\([a-z]|\b[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b",
    re.IGNORECASE,
)
"""What a messenger may make a link of by itself: also a bare name of a host, in any script."""
DOTS = str.maketrans("\u3002\uff0e\uff61", "...")
"""Full stops of other scripts, which stand for a dot in a host's name."""
NO_RULE = "none"
_SEVERITY = {"allow": 0, "ask": 1, "deny": 2}


@dataclass(frozen=True)
class Decision:
    """`rule` names the part of the policy that decided, `words` are for whoever reads it."""

    outcome: Outcome
    rule: str = NO_RULE
    words: str = ""


ALLOWED = Decision("allow")


@dataclass(frozen=True)
class File:
    """A file that is to be sent. `from_chat`: the chat that it was received in; None: it was not received, as far as is known."""

    size: int
    from_chat: str | None = None
    is_received: bool = False


@dataclass(frozen=True)
class Target:
    """The chat that a call is about, and how it is known."""

    chat_id: str
    is_group: bool = False
    trusted: bool = False
    is_contact: bool = False
    has_written: bool = False
    paired: bool = False


@dataclass(frozen=True)
class Shown:
    """The words that the agent was shown lately: of a stranger; of another chat than the target; of the target."""

    stranger: bool = False
    other: bool = False
    target: bool = False


@dataclass(frozen=True)
class Content:
    """`of_chat`: the chat whose words are passed on; None: the sender's own. `is_fetched`: it names an address that the messenger fetches."""

    text: str = ""
    file: File | None = None
    mass_mentions: bool = False
    of_chat: str | None = None
    is_fetched: bool = False


@dataclass(frozen=True)
class Recent:
    """The numbers of recent sends. `is_new`: nothing was ever written in the chat."""

    in_hour: int = 0
    new_chats: int = 0
    is_new: bool = False


NOT_SHOWN = Shown()
NO_CONTENT = Content()


def decide_send(
    policy: Policy, target: Target, shown: Shown, now: datetime, *, content: Content = NO_CONTENT, recent: Recent | None = None, by_agent: bool = True
) -> Decision:
    """Return whether something may be sent; of several rules the most severe, and the first of those."""
    out = policy.outbound
    if policy.read_only:
        return Decision("deny", "read_only", "The owner lets agents read here, and send nothing.")
    rules: list[Decision] = [*_whom(out, target), *_what(out, content), *_when(out, now, recent)]
    if by_agent:
        rules += _tainted(policy, target, shown, content)
    return stricter(rules)


def decide_fetch(policy: Policy, shown: Shown) -> Decision:
    """Return whether an agent may have an address fetched: whoever answers there reads it, whatever chat the file is for."""
    if policy.taint != "off" and shown.stranger and shown.other:
        words = "You were shown words of other chats, a stranger's among them, and an address that is fetched could carry them away."
        return Decision("ask", "taint", words)
    return ALLOWED


def decide_other(policy: Policy, touch: Touch, shown: Shown) -> Decision:
    """Return whether an agent may change something else than by a message."""
    if touch is Touch.NOTHING:
        return ALLOWED
    if touch is Touch.OWNER:
        return Decision("deny", "owner", "Only the owner does this, over REST, on the page or with the command.")
    if policy.read_only:
        return Decision("deny", "read_only", "The owner lets agents read here, and change nothing.")
    if touch in {Touch.PRESENCE, Touch.MINOR}:
        return ALLOWED
    rules = list(_to_many(policy.outbound, touch))
    if policy.taint != "off" and shown.stranger:
        rules.append(Decision("ask", "taint", f"You were shown a stranger's words; {WORDS.get(touch, 'this')} needs the owner's word after that."))
    return stricter(rules)


def wakes(policy: Policy, target: Target, *, mentions: bool) -> bool:
    """Return whether words of a chat may reach an agent by themselves. `mentions`: they name the account."""
    inbound = policy.inbound
    if target.is_group and inbound.group_words == "mentions" and not mentions:
        return False
    is_listed = matches(inbound.allow, target.chat_id)
    is_trusted = is_listed or (target.trusted and not target.is_group)
    is_paired = is_trusted or (target.paired and not target.is_group)
    return {"anyone": True, "paired": is_paired, "trusted": is_trusted, "list": is_listed, "off": False}[inbound.wake]


def matches(entries: Iterable[str], chat_id: str) -> bool:
    """Return whether one of the entries, which are ids or patterns, means the chat."""
    return any(entry == chat_id or ("*" in entry and fnmatchcase(chat_id, entry)) for entry in entries)


def _whom(out: Outbound, target: Target) -> Iterator[Decision]:
    if matches(out.deny, target.chat_id):
        yield Decision("deny", "deny", "The owner lets nothing be sent to this chat.")
    if target.trusted or matches(out.allow, target.chat_id):
        return
    allowed = {
        "anyone": True,
        "contacts": target.is_contact,
        "known": False,
        "replied": target.has_written,
        "list": False,
        "nobody": False,
    }[out.send_to]
    if not allowed and not (target.is_group and out.groups != "allow"):
        whom = "contacts (the account's address book, and whom the owner named)" if out.send_to == "contacts" else out.send_to
        yield Decision(out.otherwise, "send_to", f"The owner lets agents send to: {whom}. This chat is not among them.")
    if target.is_group:
        yield Decision(out.groups, "groups", "The owner wants to be asked before something is sent to a group.")


def _to_many(out: Outbound, touch: Touch) -> Iterator[Decision]:
    """Yield the rules for groups and for publishing: names, titles and profiles carry words as messages do."""
    if touch is Touch.GROUP:
        yield Decision(out.groups, "groups", "The owner wants to be asked before something is done with a group.")
    if touch in {Touch.GROUP, Touch.PUBLISH} and out.send_to != "anyone":
        yield Decision(out.otherwise, "send_to", f"The owner lets agents send to: {out.send_to}. This would be seen by others.")


def _what(out: Outbound, content: Content) -> Iterator[Decision]:
    file = content.file
    if file is not None and (out.files == "none" or (out.files == "own" and file.is_received)):
        yield Decision(out.otherwise, "files", "The owner does not let agents send this kind of file.")
    if file is not None and out.max_file_bytes is not None and file.size > out.max_file_bytes:
        yield Decision(out.otherwise, "max_file_bytes", f"The file is larger than {out.max_file_bytes} bytes.")
    if LINK.search(content.text.translate(DOTS)):
        yield Decision(out.links, "links", "The text holds a link.")
    if content.mass_mentions:
        yield Decision(out.mass_mentions, "mass_mentions", "The message would alarm everybody in the chat.")


def _when(out: Outbound, now: datetime, recent: Recent | None) -> Iterator[Decision]:
    if recent is not None and out.sends_an_hour is not None and recent.in_hour >= out.sends_an_hour:
        yield Decision(out.otherwise, "sends_an_hour", f"{recent.in_hour} messages were sent in the last hour.")
    if recent is not None and out.new_chats_a_day is not None and recent.is_new and recent.new_chats >= out.new_chats_a_day:
        yield Decision(out.otherwise, "new_chats_a_day", f"{recent.new_chats} chats were opened in the last day.")
    quiet = parse_quiet(out.quiet_hours) if out.quiet_hours else None
    if quiet is not None and quiet.wait(now) > 0:
        yield Decision("ask", "quiet_hours", f"It is within the quiet hours, {out.quiet_hours}.")


def _tainted(policy: Policy, target: Target, shown: Shown, content: Content) -> Iterator[Decision]:
    """A stranger's words must not steer what others get, and others' words must not go to a stranger."""
    if policy.taint == "off":
        return
    file = content.file
    if file is not None and file.is_received and file.from_chat != target.chat_id:
        yield Decision("ask", "taint", "The file was received in another chat.")
    is_of_others = content.of_chat not in {None, target.chat_id}
    is_answer = policy.taint == "answers" and shown.target and not is_of_others
    if shown.stranger and (shown.other or is_of_others) and not target.trusted and not is_answer:
        yield Decision("ask", "taint", "You were shown words of other chats, a stranger's among them, and this would go to another chat.")
    if content.is_fetched:
        yield decide_fetch(policy, shown)


def stricter(rules: Iterable[Decision]) -> Decision:
    """Return the most severe of decisions, and the first of those."""
    return max((rule for rule in rules if rule.outcome != "allow"), key=lambda rule: _SEVERITY[rule.outcome], default=ALLOWED)

"""Who is there at the beginning.

`ann`, `bob` and `carol` are people and `team` is a group of the three. The other contacts make the platform misbehave, so that
every failure can be rehearsed by sending to them:

| chat id         | what happens to a message sent there                                                     |
|-----------------|------------------------------------------------------------------------------------------|
| `rate-limited`  | RateLimited at the first try, sent when the same message is tried again after 1 s        |
| `blocked`       | Forbidden                                                                                |
| `window-closed` | WindowClosed                                                                             |
| `unreachable`   | Unreachable(maybe_sent=False): it did not go out                                         |
| `maybe-sent`    | Unreachable(maybe_sent=True): it did go out, and the platform's echo says so a bit later |
| `lost`          | Unreachable(maybe_sent=True): it never arrived, and nothing will ever tell               |
| `failing`       | sent, then the receipt says failed                                                       |
"""

from providers.errors import Forbidden, RateLimited, Unreachable, WindowClosed
from providers.models import Chat, ChatKind, Contact

OWN_ID = "me"
RETRY_AFTER = 1.0
MAYBE_SENT = "maybe-sent"
FAILING = "failing"
BLOCKED = "blocked"

PEOPLE = (
    Contact(id="ann", name="Ann Lee", username="ann", phone="+15550100"),
    Contact(id="bob", name="Bob Stone", username="bob", phone="+15550101"),
    Contact(id="carol", name="Carol Diaz", username="carol", phone="+15550102"),
)
TEAM = Chat(id="team", kind=ChatKind.GROUP, title="Team")
TROUBLE = (
    Contact(id="rate-limited", name="Rate-limited at first"),
    Contact(id=BLOCKED, name="Has blocked you"),
    Contact(id="window-closed", name="Reply window closed"),
    Contact(id="unreachable", name="Never reachable"),
    Contact(id=MAYBE_SENT, name="Sent without an answer"),
    Contact(id="lost", name="Lost on the way"),
    Contact(id=FAILING, name="Fails after sending"),
)
TROUBLE_IDS = frozenset(contact.id for contact in TROUBLE)
SAVED = TROUBLE_IDS | {contact.id for contact in PEOPLE}
"""The address book of the account."""


def rehearse(chat_id: str, *, first_try: bool) -> None:
    """Raise the failure that the chat is there for, where it comes before anything is sent."""
    match chat_id:
        case "rate-limited" if first_try:
            raise RateLimited(RETRY_AFTER, f"The sandbox refuses the first try in 'rate-limited'; wait {RETRY_AFTER:g} s.")
        case "blocked":
            raise Forbidden("'blocked' has blocked this account.", hint="Write to somebody else; list_chats has them.")
        case "window-closed":
            raise WindowClosed("The reply window of 'window-closed' is over.", hint="Wait until the other side writes first.")
        case "unreachable":
            raise Unreachable("The sandbox did not take the call for 'unreachable'; nothing was sent.", maybe_sent=False, hint="Try again later.")
        case "lost":
            raise Unreachable("The connection to the sandbox broke while sending to 'lost'.", maybe_sent=True, hint="Ask before sending it again.")
        case _:
            return

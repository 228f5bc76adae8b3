"""What can go wrong in the application itself, besides what providers.errors names. All are MessengerErrors, so one handler serves both.

ApplicationError
+-- NotAuthenticated      no valid credentials came with the request
+-- NotAllowed            the credentials are valid, but do not reach that far
|   +-- MissingScope      the key lacks the scope for this
|   +-- ReadOnly          nothing may be changed here
|   +-- PolicyDenied      the owner's policy forbids it to agents
|   +-- ApprovalRequired  it waits for a person's word
+-- WrongHost, WrongOrigin    the request was meant for another server, or comes from a foreign page
+-- NoSuchInstance, NoSuchChat, NoSuchMessage, NoSuchDelivery, NoSuchWebhook, NoSuchApproval
+-- Conflict              the state of things does not allow it now
|   +-- IdempotencyConflict   the idempotency key belongs to another request
|   +-- NotReady          the instance is in the wrong state
+-- NotAvailable          this server is not set up for it
+-- EngineAway            Docker does not answer
+-- EngineRefused         Docker answered no
|   +-- NoSuchThing       it has no such container, image or volume
+-- InvalidInput          an argument cannot be used
|   +-- PayloadTooLarge
|   +-- CursorAhead       the store was restored, and the cursor is newer
+-- NoSuchRoute           no call has this path
+-- NoSuchMethod          the path takes other methods
+-- FetchRefused, FetchFailed     a URL may not be fetched, or could not be
+-- AgentFailed           an agent gave no answer
+-- CursorExpired         events after the cursor were removed
+-- BackupFailed          a backup could not be written or read
+-- VaultError            a stored secret cannot be read
+-- BodyTooSlow, TookTooLong      a request, or what it asks for, was given up
+-- ShuttingDown          the server ends
+-- InternalError         what nobody foresaw
"""

from collections.abc import Collection
from typing import ClassVar

from providers.errors import MessengerError
from providers.states import InstanceState
from providers.text import clean_line


def quoted(value: str) -> str:
    """What a stranger wrote, as it may stand in a message: one cleaned line in quotes."""
    return repr(clean_line(value))


class ApplicationError(MessengerError):
    """The request could not be carried out."""

    code = "application_error"
    next_step: ClassVar[str | None] = None
    """The hint where the one who raises gives none."""

    def __init__(self, detail: str = "", *, hint: str | None = None) -> None:
        super().__init__(detail, hint=hint or self.next_step)


class NotAuthenticated(ApplicationError):
    """No valid credentials came with the request."""

    code = "unauthenticated"
    next_step = "Send an API key in the header 'Authorization: Bearer mm_...'."


class NotAllowed(ApplicationError):
    """The credentials do not allow this."""

    code = "forbidden"


class MissingScope(NotAllowed):
    """The key lacks the scope for this."""

    code = "missing_scope"

    def __init__(self, scope: str, given: Collection[str]) -> None:
        has = ", ".join(sorted(given)) or "none"
        super().__init__(f"This key lacks the scope {str(scope)!r}; it has: {has}.", hint="Ask the account's owner for a key with that scope.")


class ReadOnly(NotAllowed):
    """Nothing may be changed here: the server or the API key is read-only."""

    code = "read_only"
    next_step = "Use an API key that may write, on a server that is not started read-only."


class PolicyDenied(NotAllowed):
    """The policy of the instance forbids this to agents."""

    code = "policy_denied"
    next_step = "Do not try another way: tell the person what you wanted to do. get_policy shows what is allowed."


class QuotaExceeded(NotAllowed):
    """A user has as much of something as the server allows."""

    code = "quota_exceeded"

    def __init__(self, user_id: str, kind: str, used: str, most: str) -> None:
        super().__init__(
            f"The user {quoted(user_id)} has {used} of {kind} in use, and at most {most} are allowed.",
            hint="End or remove some, or ask the administrator, who raises the limit with PUT /api/v1/users/{user_id}/quotas "
            "or the setting MCP_MESSENGER_QUOTAS. GET /api/v1/quotas shows the limits.",
        )


class ApprovalRequired(NotAllowed):
    """The call is kept, and carried out when a person approves it."""

    code = "approval_required"

    def __init__(self, approval_id: str, words: str, *, is_new: bool = True) -> None:
        kept = "It was not done, and is kept" if is_new else "It waits already"
        super().__init__(
            f"{words} {kept} as approval {approval_id} until the owner decides.",
            hint="Say so to the person, who approves or denies it with the command mcp-messenger approve, over REST, on the approval's page, or "
            "in the owner's chat. wait_for_approval tells what becomes of it; do not make the call again.",
        )
        self.approval_id = approval_id


class NoSuchApproval(ApplicationError):
    """There is no such approval."""

    code = "approval_not_found"

    def __init__(self, approval_id: str | None) -> None:
        """`approval_id` None: it was looked for by the link of a page."""
        known = approval_id is not None
        super().__init__(f"No approval {quoted(approval_id)}; call list_approvals." if known else "This was decided already, or it has expired.")


class WrongHost(ApplicationError):
    """This server does not answer to that host name."""

    code = "wrong_host"
    next_step = "Add the name to MCP_MESSENGER_ALLOWED_HOSTS, or use localhost."


class WrongOrigin(ApplicationError):
    """Pages of that origin may not call this server."""

    code = "wrong_origin"
    next_step = "Add its host name to MCP_MESSENGER_ALLOWED_HOSTS."


class NoSuchInstance(ApplicationError):
    """There is no such instance."""

    code = "instance_not_found"

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"No instance {quoted(instance_id)}; call list_instances.")


class NoSuchChat(ApplicationError):
    """There is no such chat."""

    code = "chat_not_found"

    def __init__(self, chat_id: str) -> None:
        super().__init__(f"No chat {quoted(chat_id)}; call list_chats.")


class NoSuchPerson(ApplicationError):
    """There is no such person."""

    code = "person_not_found"

    def __init__(self, person_id: str) -> None:
        super().__init__(f"No person {quoted(person_id)}; call list_people.")


class NoSuchKey(ApplicationError):
    """There is no such key that is valid."""

    code = "key_not_found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"No valid key {quoted(key_id)}; call list_keys.")


class NoSuchMessage(ApplicationError):
    """There is no such message."""

    code = "message_not_found"

    def __init__(self, message_id: str) -> None:
        super().__init__(f"No message {quoted(message_id)}; call get_messages.")


class NoSuchWebhook(ApplicationError):
    """The instance has no webhook of this id."""

    code = "webhook_not_found"

    def __init__(self, webhook_id: str) -> None:
        super().__init__(f"No webhook {quoted(webhook_id)}; call list_webhooks.")


class NoSuchDelivery(ApplicationError):
    """There is no such delivery that has ended."""

    code = "delivery_not_found"

    def __init__(self, delivery_id: str) -> None:
        super().__init__(f"No delivery {quoted(delivery_id)} that has ended; call list_deliveries.")


class Conflict(ApplicationError):
    """The present state does not allow this."""

    code = "conflict"


class IdempotencyConflict(Conflict):
    """The idempotency key was used for another request."""

    code = "idempotency_conflict"
    next_step = "Repeat the first request unchanged, or take a new idempotency key."

    def __init__(self, key: str) -> None:
        super().__init__(f"The idempotency key {quoted(key)} was used for another request.")


_NEXT_STEP = {
    InstanceState.CREATED: "Call login: it starts the account.",
    InstanceState.PROCESSING: "It is starting. Call login: it waits for it.",
    InstanceState.STARTING: "It is starting. Call login: it waits for it.",
    InstanceState.QR_READY: "Call login, and have a person scan the code that it shows.",
    InstanceState.AUTHENTICATED: "It is connecting. Call login: it waits for it.",
    InstanceState.READY: "Try again; list_instances shows its state.",
    InstanceState.DEGRADED: "The connection is being restored; try again in a minute.",
    InstanceState.STOPPED: "Call login: it starts the account.",
    InstanceState.ERROR: "Call login: it tries again, and says what is wrong.",
    InstanceState.LOGGED_OUT: "Call login: it begins a new login.",
}


class NotReady(Conflict):
    """The instance is in the wrong state; `reason` is why, in the platform's words."""

    code = "not_ready"

    def __init__(self, instance_id: str, state: InstanceState, detail: str = "", *, reason: str | None = None, hint: str | None = None) -> None:
        said = f"Instance {quoted(instance_id)} is {state.value}{f': {clean_line(reason)}' if reason else '.'}"
        super().__init__(detail or said, hint=hint or _NEXT_STEP[state])
        self.state = state


class NotAvailable(ApplicationError):
    """This server is not set up for that."""

    code = "not_available"


class EngineAway(ApplicationError):
    """Docker does not answer."""

    code = "docker_unavailable"
    next_step = "Start Docker, or let this program reach its socket; instances in containers go on by themselves then."


class EngineRefused(ApplicationError):
    """Docker refused it."""

    code = "docker_refused"


class NoSuchThing(EngineRefused):
    """Docker has no such container, image or volume."""

    code = "docker_not_found"


class InvalidInput(ApplicationError):
    """The arguments cannot be used."""

    code = "invalid_input"


class CursorAhead(InvalidInput):
    """The cursor is of an event that this store never had."""

    code = "cursor_ahead"
    next_step = "Begin without a cursor (for events: after=0), or with catch_up: messages and chats are there as they were restored."

    def __init__(self) -> None:
        super().__init__("This cursor is ahead of the event log: the database was restored from a backup, or another has taken its place.")


class NoSuchRoute(ApplicationError):
    """No call has this path."""

    code = "route_not_found"
    next_step = "/docs lists the calls."


class NoSuchMethod(ApplicationError):
    """The path takes other methods."""

    code = "method_not_allowed"
    next_step = "/docs lists the calls."


class PayloadTooLarge(InvalidInput):
    """It is too large."""

    code = "payload_too_large"
    next_step = "Send something smaller."

    def __init__(self, limit: int, *, what: str = "The file", hint: str | None = None) -> None:
        super().__init__(f"{what} is larger than {limit:,} bytes.", hint=hint)
        self.limit = limit


class FetchRefused(ApplicationError):
    """The URL may not be fetched."""

    code = "fetch_refused"


class FetchFailed(ApplicationError):
    """The URL could not be fetched."""

    code = "fetch_failed"
    next_step = "Check that the URL works without a login, or send the file itself."


class AgentFailed(ApplicationError):
    """The agent gave no answer. `status` is what its server answered, if it did."""

    code = "agent_failed"
    next_step = "Check MCP_MESSENGER_AGENTS, MCP_MESSENGER_AGNO_URL, MCP_MESSENGER_AGNO_KEY and the instance's agent_id; it is tried again."

    def __init__(self, detail: str = "", *, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class CursorExpired(ApplicationError):
    """Events after this cursor were removed."""

    code = "cursor_expired"

    def __init__(self, cursor: int, removed: int) -> None:
        super().__init__(
            f"The events up to {removed} were removed, and some of them come after the cursor {cursor}.",
            hint=f"Begin with the cursor {removed}. The messages themselves: catch_up, get_recent_messages and get_messages have them.",
        )


class BackupFailed(ApplicationError):
    """A backup could not be written or read. Nothing was changed."""

    code = "backup_failed"


class VaultError(ApplicationError):
    """A stored secret cannot be read."""

    code = "vault_error"


class BodyTooSlow(ApplicationError):
    """The body of the request came too slowly."""

    code = "body_too_slow"
    next_step = "Send it again over a faster connection, or something smaller."


class TookTooLong(ApplicationError):
    """It took too long and was given up."""

    code = "took_too_long"

    def __init__(self, name: str, seconds: float, *, changes: bool) -> None:
        hint = "It may have taken effect: look before trying again." if changes else "Try again in a moment."
        super().__init__(f"{name} was given up after {seconds:g} s.", hint=f"{hint} get_instance_health tells whether the messenger answers.")


class ShuttingDown(ApplicationError):
    """This server stops; what was asked may not have been carried out."""

    code = "shutting_down"
    retry_after = 5.0
    """Seconds; by then it, or another one, is there again."""
    next_step = "Ask again in a few seconds; repeat a send only with the same idempotency_key."


class InternalError(ApplicationError):
    """Something broke on the server."""

    code = "internal_error"
    next_step = "Its log says what; try again or tell the operator."

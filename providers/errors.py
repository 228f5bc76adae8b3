"""The errors between this server and a messenger.

MessengerError
+-- Rejected              the platform (or we, knowing its rules) said no; the same call will fail again
|   +-- Unsupported       this messenger cannot do that
|   +-- NotFound          no such chat, message or file there
|   +-- Forbidden         the account may not do that
|   +-- InvalidRequest    the content breaks the platform's rules
|   +-- WindowClosed      the platform's reply window is over
+-- LoggedOut             the credentials no longer work; log in again
+-- RateLimited           too fast; `retry_after` seconds
+-- Unreachable           no answer; `maybe_sent` tells whether the call may have taken effect
"""

from typing import ClassVar


class MessengerError(Exception):
    """Something went wrong with the messenger."""

    code: ClassVar[str] = "messenger_error"
    """The kind of error, as programs read it."""
    next_step: ClassVar[str | None] = None
    """The hint of an error that has none itself: platforms refuse in more words than are known here."""

    def __init__(self, detail: str = "", *, hint: str | None = None) -> None:
        """Make an error of one or more sentences (the class's own where there are none), and the next step that its reader can take."""
        super().__init__(detail or (type(self).__doc__ or "").strip())
        self.detail = str(self)
        self.hint = hint or self.next_step


class Rejected(MessengerError):
    """The messenger refused the request."""

    code = "rejected"
    next_step = "The same call is refused again: change what these words name."


class Unsupported(Rejected):
    """This messenger cannot do that."""

    code = "unsupported"

    def __init__(self, provider: str, capability: str, *, hint: str | None = None) -> None:
        """Make an error that names the provider and the missing capability."""
        super().__init__(f"{provider} cannot do this: {capability}.", hint=hint or "get_instance lists the capabilities of the instance.")
        self.provider = provider
        self.capability = capability


class NotFound(Rejected):
    """The messenger knows no such chat, message or file."""

    code = "not_found"
    next_step = "list_chats shows the chats, get_messages the messages of a chat."


class Forbidden(Rejected):
    """The account may not do that there."""

    code = "forbidden"
    next_step = "Somebody who administers the account or the chat on the messenger has to allow it."


class InvalidRequest(Rejected):
    """The messenger does not take this content."""

    code = "invalid_request"
    next_step = "Change what these words name, and send it again."


class WindowClosed(Rejected):
    """The messenger's window for free replies in this chat is closed."""

    code = "window_closed"
    next_step = "Wait until the other side writes again."


class LoggedOut(MessengerError):
    """The account is not logged in any more."""

    code = "logged_out"
    next_step = "Log in again: get_instance says what the instance needs."


class RateLimited(MessengerError):
    """The messenger asks to slow down."""

    code = "rate_limited"

    def __init__(self, retry_after: float, detail: str = "", *, of_chat: bool = False) -> None:
        """Make an error that asks for `retry_after` seconds of patience: in this chat alone, or with the whole account."""
        super().__init__(detail or f"The messenger asks to wait {retry_after:g} s.", hint=f"Try again in {retry_after:g} s.")
        self.retry_after = retry_after
        self.of_chat = of_chat


class Unreachable(MessengerError):
    """The messenger did not answer."""

    code = "unreachable"

    def __init__(self, detail: str = "", *, maybe_sent: bool, hint: str | None = None) -> None:
        """Make an error that says whether the call may have taken effect all the same; such a call is never repeated by itself."""
        super().__init__(detail, hint=hint)
        self.maybe_sent = maybe_sent

"""What slack-sdk and aiohttp raise, as our errors."""

from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, cast

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, RateLimited, Rejected, Unreachable
from providers.slack.shapes import inner
from providers.text import clean_line

# What failed before a byte of the request was written.
_NOT_WRITTEN = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientProxyConnectionError, aiohttp.InvalidURL)

_LOGGED_OUT = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "user_removed_from_team"})
_NOT_FOUND = frozenset(
    {"channel_not_found", "user_not_found", "users_not_found", "message_not_found", "thread_not_found", "file_not_found", "file_deleted",
     "user_not_visible", "bad_timestamp", "no_item_specified", "invalid_ts_latest", "invalid_ts_oldest"}
)  # fmt: skip
_FORBIDDEN = frozenset(
    {"missing_scope", "not_allowed_token_type", "no_permission", "not_in_channel", "is_archived", "cant_update_message", "cant_delete_message",
     "edit_window_closed", "cannot_dm_bot", "ekm_access_denied", "access_denied", "restricted_action", "user_is_restricted", "user_disabled",
     "cant_invite_self", "cant_invite", "cant_kick_self", "cant_kick_from_general", "not_authorized", "team_access_not_granted",
     "messages_tab_disabled", "as_user_not_supported", "org_login_required", "enterprise_is_restricted", "accesslimited",
     "method_not_supported_for_channel_type", "slack_connect_blocked_file_type", "slack_connect_file_link_sharing_blocked",
     "slack_connect_file_upload_sharing_blocked", "slack_connect_canvas_sharing_blocked"}
)  # fmt: skip
_TOO_FAST = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
# Slack says of these that some of the call may have happened all the same.
_UNCERTAIN = frozenset({"fatal_error", "internal_error", "service_unavailable"})
# And these never started.
_NOT_BEGUN = frozenset({"request_timeout", "team_added_to_org"})

_HINTS = {
    "channel_not_found": "list_chats shows the chats; the bot sees a private channel only when it was invited.",
    "thread_not_found": "The first message of the thread is gone; send it without reply_to and thread_id.",
    "message_not_found": "The message is gone; get_messages shows those that are there.",
    "restricted_action": "An administrator of the workspace has to let apps do this.",
    "restricted_action_read_only_channel": "Only some people may write in this channel; one of them has to let the app.",
    "restricted_action_thread_only_channel": "The channel takes answers in threads alone: give the thread_id of a message.",
    "restricted_action_non_threadable_channel": "The channel has no threads; send it without reply_to and thread_id.",
    "cannot_reply_to_message": "No thread may begin under this message; send it without reply_to and thread_id.",
    "user_disabled": "The person's account is deactivated.",
    "slack_connect_blocked_file_type": "An organization in this shared channel takes no file of this type; send the text alone.",
    "slack_connect_file_link_sharing_blocked": "An organization in this shared channel takes no links to files; send the text alone.",
    "slack_connect_file_upload_sharing_blocked": "An organization in this shared channel takes no files; send the text alone.",
    "restricted_action_thread_locked": "The thread is locked; send it without reply_to and thread_id.",
    "user_not_found": "list_contacts shows the people and their ids.",
    "users_not_found": "list_contacts shows the people and their ids.",
    "not_in_channel": "Somebody has to invite the bot: /invite @bot in the channel.",
    "is_archived": "The channel is archived; somebody has to restore it first.",
    "cant_update_message": "A bot edits only its own messages.",
    "cant_delete_message": "A bot deletes only its own messages.",
    "no_text": "Give a text, a file or blocks.",
    "msg_too_long": "Send it in several messages, or as a file.",
    "msg_blocks_too_long": "Send it in several messages, or as a file.",
    "invalid_blocks": "Slack's Block Kit Builder tells what is wrong with blocks.",
    "invalid_name": "Slack takes one emoji as a reaction, or the name of one of the workspace.",
    "cannot_dm_bot": "Bots cannot write to bots.",
    "not_allowed_token_type": "bot_token starts with xoxb-, app_token with xapp-.",
    "messages_tab_disabled": 'Allow messages to the app: "App Home", "Messages Tab" on the app\'s page.',
    "name_taken": "Choose another title: channels of a workspace have different names.",
}
_LOGIN_HINT = 'Set the bot token that the app\'s page "OAuth & Permissions" shows.'


@contextmanager
def slack_errors() -> Generator[None]:
    """What goes wrong inside is raised as MessengerError."""
    try:
        yield
    except SlackApiError as error:
        raise from_slack(error) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise from_network(error) from None


@contextmanager
def nothing_sent() -> Generator[None]:
    """For the steps before the one that sends: whatever became of them, no message went out."""
    try:
        yield
    except Unreachable as error:
        raise Unreachable(error.detail, maybe_sent=False, hint="Nothing was sent; try again later.") from None


def from_network(error: BaseException) -> Unreachable:
    words = clean_line(str(error)) or type(error).__name__
    if isinstance(error, _NOT_WRITTEN):
        return Unreachable(f"Slack cannot be reached: {words}", maybe_sent=False, hint="Nothing was sent; try again later.")
    return _no_proper_answer(words)


def from_slack(error: SlackApiError) -> MessengerError:
    response: Any = error.response
    if not isinstance(response, AsyncSlackResponse):
        return _no_proper_answer("an answer that is not JSON")
    known = cast("Any", response)
    return _answered(known.data, known.status_code, known.headers)


def _answered(data: dict[str, Any], status: int, headers: Any) -> MessengerError:
    code = clean_line(str(data.get("error", "")))
    if code in _TOO_FAST or status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(_seconds(headers), f"Slack asks to slow down: {code or 'ratelimited'}.")
    if code in _NOT_BEGUN:
        return Unreachable(f"Slack did not begin it: {code}.", maybe_sent=False, hint="Nothing was sent; try again later.")
    if not code or code in _UNCERTAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _no_proper_answer(code or f"status {status}")
    return refusal(code, data)


def refusal(code: str, answer: dict[str, Any]) -> MessengerError:
    """What Slack said no to, in its word `code`."""
    if code in _LOGGED_OUT:
        return LoggedOut(f"Slack does not take this token: {code}.", hint=_LOGIN_HINT)
    if code == "missing_scope":
        return _missing_scope(answer)
    details: object = inner(answer, "response_metadata").get("messages")
    said = map(str, cast("list[object]", details)) if isinstance(details, list) else ()
    words = clean_line(": ".join(["Slack refused: " + code, *said])) + "."
    kind: type[Rejected] = (
        NotFound if code in _NOT_FOUND else Forbidden if code.startswith("restricted_action") or code in _FORBIDDEN else InvalidRequest
    )
    return kind(words, hint=_HINTS.get(code))


def _missing_scope(answer: dict[str, Any]) -> Forbidden:
    needed = clean_line(str(answer.get("needed", "another one")))
    return Forbidden(
        f"Slack refused: missing_scope; the token lacks the scope {needed}.",
        hint=f'Add {needed} on the app\'s page "OAuth & Permissions", and install the app again.',
    )


def _no_proper_answer(words: str) -> Unreachable:
    return Unreachable(f"Slack gave no proper answer: {words}", maybe_sent=True, hint="It may have taken effect; look before doing it again.")


def _seconds(headers: Any) -> float:
    """Slack names whole seconds; without a number a minute is what its slowest tier needs."""
    value = str(headers.get("Retry-After", ""))
    return float(value) if value.isdecimal() else 60.0

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
     "messages_tab_disabled", "enterprise_is_restricted", "accesslimited",
     "method_not_supported_for_channel_type", "slack_connect_blocked_file_type", "slack_connect_file_link_sharing_blocked",
     "slack_connect_file_upload_sharing_blocked", "slack_connect_canvas_sharing_blocked", "slack_connect_lists_sharing_blocked",
     "channel_is_limited_access", "two_factor_setup_required", "permission_denied", "compliance_exports_prevent_deletion", "not_pinnable",
     "is_inactive", "blocked_file_type", "file_uploads_disabled", "file_uploads_except_images_disabled", "storage_limit_reached",
     "posting_to_general_channel_denied", "user_is_ultra_restricted", "ura_max_channels", "cant_archive_general", "cant_broadcast_message"}
)  # fmt: skip
_TOO_FAST = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
# Slack says of these that some of the call may have happened all the same.
_UNCERTAIN = frozenset({"fatal_error", "internal_error", "service_unavailable"})
# And these never started.
_NOT_BEGUN = frozenset({"request_timeout", "team_added_to_org", "org_login_required", "external_channel_migrating"})

_ASK_ADMINISTRATOR = "An administrator of the workspace has to allow it."
_GUEST = "The person is a guest of the workspace: an administrator gives them access to the channel."
_NOT_THIS_FILE = "The workspace takes no file of this kind; send the text alone, or a link."
_BLOCKS = "Slack's Block Kit Builder tells what is wrong with blocks."
_TOO_LONG = "Send it in several messages, or as a file."

_HINTS = {
    "channel_not_found": "list_chats shows the chats; the bot sees a private channel only when it was invited.",
    "thread_not_found": "The first message of the thread is gone; send it without reply_to and thread_id.",
    "message_not_found": "The message is gone; get_messages shows those that are there.",
    "restricted_action": "An administrator of the workspace has to let apps do this.",
    "channel_is_limited_access": "The channel is of a Salesforce record that the app may not see: somebody who sees it has to let the app in.",
    "as_user_not_supported": "Leave as_user out of extra: the token alone says who writes.",
    "no_permission": "Invite the bot into the channel (/invite @bot), and see whether the app has the scopes that docs/messengers/slack.md lists.",
    "permission_denied": "Only some people may do this in the channel; one of them has to let the app.",
    "not_authorized": _ASK_ADMINISTRATOR,
    "access_denied": _ASK_ADMINISTRATOR,
    "team_access_not_granted": "The app is not installed in this workspace: an administrator of the organization adds it there.",
    "enterprise_is_restricted": "The organization does not let apps do this; one of its administrators has to allow it.",
    "accesslimited": "The workspace takes calls from some networks alone: an administrator has to allow this server's address.",
    "ekm_access_denied": "Administrators have suspended messages in this channel (key management); ask one of them, or use another channel.",
    "two_factor_setup_required": "The workspace asks for two-factor login: whoever installed the app has to set it up.",
    "edit_window_closed": "The workspace lets messages be edited for some time alone; send a new message.",
    "compliance_exports_prevent_deletion": "The workspace keeps all messages; send a correction instead.",
    "is_inactive": "The channel is archived or deleted; list_chats shows the others.",
    "block_mismatch": "Send a new message: Slack does not put a text in the place of these blocks.",
    "cant_broadcast_message": "Leave reply_broadcast out of extra.",
    "user_is_restricted": _GUEST,
    "user_is_ultra_restricted": _GUEST,
    "ura_max_channels": "The person is a guest of one channel: an administrator makes them a member.",
    "cant_invite_self": "The bot is in the channel already; name other people.",
    "cant_invite": "This person cannot be invited here; ask somebody of the channel to do it.",
    "cant_kick_self": "The bot cannot remove itself; somebody of the channel has to do it.",
    "cant_kick_from_general": "Nobody is removed from the workspace's general channel.",
    "cant_archive_general": "The workspace's general channel cannot be archived.",
    "posting_to_general_channel_denied": "An administrator has to let apps write in the general channel.",
    "method_not_supported_for_channel_type": "This kind of chat has no such thing; list_chats shows the kinds.",
    "user_not_visible": "The app does not see this person; list_contacts shows those it sees.",
    "too_many_users": "Name fewer people.",
    "file_not_found": "The file is gone; ask for it to be sent again.",
    "file_deleted": "The file was deleted; ask for it to be sent again.",
    "blocked_file_type": _NOT_THIS_FILE,
    "file_uploads_disabled": "The workspace takes no files; send the text alone, or a link.",
    "file_uploads_except_images_disabled": "The workspace takes pictures alone; send the text, or a link.",
    "storage_limit_reached": "The workspace's space for files is full: somebody has to delete files, or send a link.",
    "not_pinnable": "This kind of message cannot be pinned.",
    "too_many_emoji": "The message has as many different reactions as it may; use one that is there.",
    "too_many_reactions": "The account has as many reactions to this message as it may; take one off.",
    "too_many_attachments": "A message takes at most 100 attachments; send several messages.",
    "attachment_payload_limit_exceeded": _TOO_LONG,
    "invalid_attachments": "Give attachments as a list of objects, each with a text.",
    "invalid_blocks_format": _BLOCKS,
    "slack_connect_canvas_sharing_blocked": "An organization in this shared channel takes no canvases; send the text alone.",
    "slack_connect_lists_sharing_blocked": "An organization in this shared channel takes no lists; send the text alone.",
    "team_not_found": "Use the channel's id from list_chats: an app of an organization cannot name channels by name.",
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
    "msg_too_long": _TOO_LONG,
    "msg_blocks_too_long": _TOO_LONG,
    "invalid_blocks": _BLOCKS,
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

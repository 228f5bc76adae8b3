"""Which of the table's operations one messenger alone has, and how it carries them out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from mcp_messenger.alone.operations import acting, diagnostics, groups, life, reading, sending, waiting
from mcp_messenger.operations.operation import Operation, Output
from mcp_messenger.operations.table import OPERATIONS

RUNS: Mapping[str, Callable[..., Awaitable[Output]]] = {
    "get_instance": life.get_instance,
    "process_instance": life.process_instance,
    "start_instance": life.start_instance,
    "stop_instance": life.stop_instance,
    "restart_instance": life.restart_instance,
    "get_qr": life.get_qr,
    "request_pairing_code": life.request_pairing_code,
    "get_auth_status": life.get_auth_status,
    "get_account": life.get_account,
    "get_current_api_key": life.get_current_api_key,
    "get_webhook": life.get_webhook,
    "set_webhook": life.set_webhook,
    "list_chats": reading.list_chats,
    "get_chat": reading.get_chat,
    "get_messages": reading.get_messages,
    "get_recent_messages": reading.get_recent_messages,
    "get_message": reading.get_message,
    "search_messages": reading.search_messages,
    "list_contacts": reading.list_contacts,
    "search_contacts": reading.list_contacts,
    "download_media": reading.download_media,
    "wait_for_messages": waiting.wait_for_messages,
    "wait_for_reply": waiting.wait_for_reply,
    "send_message": sending.send_message,
    "send_media": sending.send_media,
    "send_poll": sending.send_poll,
    "send_location": sending.send_location,
    "send_contact": sending.send_contact,
    "send_choices": sending.send_choices,
    "send_template": sending.send_template,
    "send_to_group": sending.send_to_group,
    "list_templates": sending.list_templates,
    "get_sending_budget": sending.get_sending_budget,
    "check_send": sending.check_send,
    "react": acting.react,
    "edit_message": acting.edit_message,
    "delete_message": acting.delete_message,
    "mark_read": acting.mark_read,
    "set_typing": acting.set_typing,
    "list_groups": groups.list_groups,
    "create_group": groups.create_group,
    "add_participants": groups.add_participants,
    "remove_participant": groups.remove_participant,
    "set_group_admin": groups.set_group_admin,
    "update_group": groups.update_group,
    "get_invite_link": groups.get_invite_link,
    "leave_group": groups.leave_group,
    "get_instance_memory": diagnostics.get_instance_memory,
    "get_status_history": diagnostics.get_status_history,
    "get_qr_history": diagnostics.get_qr_history,
    "get_errors": diagnostics.get_errors,
    "clear_errors": diagnostics.clear_errors,
    "get_activity_stats": diagnostics.get_activity_stats,
    "get_instance_health": diagnostics.get_instance_health,
    "get_logs": diagnostics.get_logs,
}

LEFT_TO_THE_MANAGER = frozenset(
    {
        *("update_instance", "delete_instance", "rotate_api_key", "get_api_key_history", "get_credentials", "set_credentials"),
        *("list_deliveries", "retry_delivery", "retry_dead_deliveries", "replay_events", "test_webhook", "rotate_webhook_secret"),
        *("get_chat_agent", "set_chat_agent"),
    }
)
"""Of an instance, and nothing that it can do itself: its settings, its key and its being there come from outside, and who gets its
events is seen to there."""


def _alone(row: Operation, run: Callable[..., Awaitable[Any]]) -> Operation:
    return replace(row, run=run)


ROWS = tuple(_alone(row, RUNS[row.name]) for row in OPERATIONS if row.name in RUNS)

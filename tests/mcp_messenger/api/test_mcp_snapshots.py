"""What a model is shown is under review: a file for each tool, and a budget for all. `--inline-snapshot=fix` writes the files."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import external_file

from mcp_messenger.api.mcp.server import result_of, selected, tool
from mcp_messenger.config import Config
from mcp_messenger.operations.chats import ChatList
from mcp_messenger.operations.messages import MessageList
from mcp_messenger.operations.operation import Output
from mcp_messenger.operations.table import OPERATIONS
from mcp_messenger.operations.views import ChatView, MessageView
from tests.mcp_clients import text_of

SNAPSHOTS = Path(__file__).parent.parent / "snapshots" / "tools"
EVERYTHING = selected(Config(data_dir=Path(), toolsets=("all",)))
DEFAULT = selected(Config(data_dir=Path()))
NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
TEXT = "Could you move our meeting from Tuesday to Thursday afternoon, around three? Thx."
NAMES = ("Ann-Sophie Lee", "Ждан Петров", "María José García", "Olu Adeyemi", "小林 さくら")


def wire(row_name: str) -> dict[str, Any]:
    row = next(row for row in OPERATIONS if row.name == row_name)
    return tool(row, without_instance=False).model_dump(mode="json", by_alias=True, exclude_none=True)


@pytest.mark.parametrize("name", [row.name for row in EVERYTHING])
def test_a_tool_is_what_its_file_says(name: str) -> None:
    assert wire(name) == external_file(SNAPSHOTS / f"{name}.json")


def test_there_is_no_file_without_a_tool() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} == {row.name for row in EVERYTHING}


def test_every_tool_says_what_it_does() -> None:
    for row in EVERYTHING:
        shown = wire(row.name)
        assert shown["description"].endswith(".")
        assert set(shown["annotations"]) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert not (shown["annotations"]["readOnlyHint"] and shown["annotations"]["destructiveHint"])


def tokens(text: str) -> int:
    bpe = pytest.importorskip("rs_bpe.bpe", reason="the tokenizer has no wheel for this platform")
    return bpe.openai.o200k_base().count(text)


def test_the_tools_fit_into_the_budget() -> None:
    shown = [wire(row.name) for row in DEFAULT]
    assert len(shown) <= 26
    assert tokens(json.dumps(shown, ensure_ascii=False, separators=(",", ":"))) <= 4420
    of_model = [{name: one[name] for name in ("name", "description", "inputSchema")} for one in shown]
    assert sum(tokens(json.dumps(one, ensure_ascii=False, separators=(",", ":"))) for one in of_model) <= 2460


def page_of_chats() -> Output:
    return ChatList(
        chats=[
            ChatView(
                id=f"{4917012345670 + number}@c.us",
                kind="private",
                title=NAMES[number % 5],
                username=f"user_{number}" if number % 3 == 0 else None,
                unread=number % 3,
                last_at=NOON - timedelta(minutes=37 * number),
                last_text=TEXT[:80],
                last_from_me=number % 2 == 0,
            )
            for number in range(20)
        ],
        next_cursor="6535a1b2c3d4e.4917012345689@c.us",
    )


def page_of_messages() -> Output:
    return MessageList(
        chat_id="120363041234567890@g.us",
        messages=[
            MessageView.model_validate(
                {
                    "id": str(48211 + number),
                    "at": NOON - timedelta(minutes=3 * number),
                    "own": number % 4 == 0,
                    "from": None if number % 4 == 0 else NAMES[number % 5],
                    "sender_id": None if number % 4 == 0 else f"{4917012345670 + number % 5}",
                    "text": TEXT[:80],
                    "status": "read" if number % 4 == 0 else None,
                    "reply_to": str(48200 + number) if number % 5 == 0 else None,
                }
            )
            for number in range(20)
        ],
        next_cursor="6535a1b2c3d4e.48211",
    )


@pytest.mark.parametrize("page", [page_of_chats(), page_of_messages()], ids=["chats", "messages"])
def test_a_page_fits_into_the_budget(page: Output) -> None:
    assert tokens(text_of(result_of(page))) <= 1500

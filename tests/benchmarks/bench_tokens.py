"""What a model is shown, in tokens. The suite holds the limits; this only tells the figures."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from rs_bpe.bpe import openai

from mcp_messenger.api.mcp.server import tool
from mcp_messenger.operations.chats import ChatList
from mcp_messenger.operations.instances import InstanceList
from mcp_messenger.operations.messages import MessageList
from mcp_messenger.operations.operation import DEFAULT_TOOLSETS, Transport
from mcp_messenger.operations.table import OPERATIONS
from mcp_messenger.operations.views import ChatView, InstanceView, MessageView
from tests.benchmarks.figures import Figure, at_most

NAMES = ("Ann Lee", "Bob Stone", "Carol", "Dora Finch")
SAYINGS = ("Could you bring the ladder tomorrow?", "Sure, see you at ten", "I sent the invoice for March", "Thanks, that works for me")


def _message(number: int, at: datetime) -> MessageView:
    who = NAMES[number % 3 + (number % 7 == 0)]
    fields = {
        "id": str(1000 + 300 - number),
        "at": at - timedelta(minutes=number),
        "from": who,
        "sender_id": f"49170{who}",
        "text": SAYINGS[number % 4],
    }
    return MessageView.model_validate(fields)


async def measure() -> list[Figure]:
    tokenizer = openai.o200k_base()
    rows = [row for row in OPERATIONS if row.toolset in DEFAULT_TOOLSETS and Transport.MCP in row.transports]
    tools = [tool(row, without_instance=False) for row in rows]
    shown = [json.dumps({"name": one.name, "description": one.description, "input_schema": one.input_schema}, separators=(",", ":")) for one in tools]
    at = datetime(2026, 5, 4, 9, tzinfo=UTC)
    said = [_message(number, at) for number in range(300)]
    chats = [
        ChatView(id=f"{491701234500 + n}@c.us", kind="private", title=f"{NAMES[n % 4]} {n}", unread=n % 3, last_at=at, last_text=SAYINGS[n % 4])
        for n in range(20)
    ]
    account = {"name": "Rowing club"}
    one = InstanceView.model_validate(
        {"id": str(UUID(int=2**125)), "provider": "telegram", "status": "ready", "user_id": "local", "type_instance": [], "runtime": "process",
         "account": account, "created_at": at, "updated_at": at}
    )  # fmt: skip
    answers = {
        "300 messages of a group": (MessageList(chat_id="120363041234567890@g.us", messages=said).transcript(), 5500),
        "20 chats": (ChatList(chats=chats).transcript(), 650),
        "an instance": (InstanceList(instances=[one]).transcript(), 20),
    }
    return [
        *(Figure(what, tokenizer.count(text), "tokens", target=at_most(most)) for what, (text, most) in answers.items()),
        Figure("default tools", len(rows), "tools", target=at_most(25)),
        Figure("default tool list", sum(tokenizer.count(text) for text in shown), "tokens", target=at_most(5000)),
    ]

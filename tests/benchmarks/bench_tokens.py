"""What a model is shown, in tokens, whole and for each item. The suite holds the limits; this only tells the figures.

The bare form of an answer is the same as JSON, as peers answer; beside our tool list are those of peers, with the tokens of a tool.
"""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from rs_bpe.bpe import openai

from mcp_messenger.api.mcp.server import tool
from mcp_messenger.config.toolsets import DEFAULT_TOOLSETS
from mcp_messenger.operations.chats import ChatList
from mcp_messenger.operations.instances import InstanceList
from mcp_messenger.operations.messages import MessageList
from mcp_messenger.operations.operation import Output, Transport
from mcp_messenger.operations.table import OPERATIONS
from mcp_messenger.operations.views import ChatView, InstanceView, MessageView
from tests.benchmarks.figures import Figure, at_most

PEERS = {
    "chigwell/telegram-mcp 2.0.1": (122, 19_604),
    "slack-mcp-server 1.3.0": (15, 3353),
    "verygoodplugins/whatsapp-mcp 0.6.0": (15, 3307),
    "lharries/whatsapp-mcp": (12, 1953),
    "mcp-discord 1.3.4": (22, 1335),
    "wweb-mcp 0.2.5": (13, 931),
}
"""Tools and the tokens of their whole list (o200k), as measured in 2026."""
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
    shown = [json.dumps({"name": one.name, "description": one.description, "inputSchema": one.input_schema}, separators=(",", ":")) for one in tools]
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
    answers: list[tuple[str, int, Output, int]] = [
        ("messages of a group", 300, MessageList(chat_id="120363041234567890@g.us", messages=said), 5500),
        ("chats", 20, ChatList(chats=chats), 650),
        ("instances", 1, InstanceList(instances=[one]), 20),
    ]
    figures = list[Figure]()
    for what, number, answer, most in answers:
        count = tokenizer.count(answer.transcript() or "")
        bare = tokenizer.count(json.dumps(answer.shown(), ensure_ascii=False, separators=(",", ":")))
        figures += [
            Figure(f"{number} {what}", count, "tokens", bare, at_most(most)),
            Figure(f"each of the {what}", count / number, "tokens", bare / number, at_most(most / number)),
        ]
    listed = sum(tokenizer.count(text) for text in shown)
    return [
        *figures,
        Figure("default tools", len(rows), "tools", target=at_most(26)),
        Figure("default tool list", listed, "tokens", target=at_most(2420)),
        Figure("each of the default tools", listed / len(rows), "tokens"),
        *(
            figure
            for peer, (tools_of_peer, tokens) in PEERS.items()
            for figure in (
                Figure(f"tool list of {peer}", tokens, "tokens"),
                Figure(f"each of its {tools_of_peer} tools", tokens / tools_of_peer, "tokens"),
            )
        ),
    ]

"""mcp-messenger approve [CODE]: the calls of agents that wait for their owner."""

import json
from typing import Any

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say, table
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput, quoted
from providers.text import clean, clean_line

HEAD = ("CODE", "WHAT", "CHAT", "WHY", "UNTIL", "CONTENT")
CONTENT_MAX = 60
UNSAID = frozenset({"to", "format", "wait", "idempotency_key", "question"})
"""Arguments that are in another column, or say little."""


async def approve(config: Config, url: str | None, code: str | None, decision: str, text: str | None, as_json: bool = False) -> None:
    """Show what waits, or decide about one. `decision`: approve, always, deny or link. Raises InvalidInput for a code that nothing has."""
    async with Server.at(url, config) as server:
        waiting: list[dict[str, Any]] = (await server.get("/approvals", limit=100))["approvals"]
        if code is None:
            said = table(HEAD, [_row(one) for one in waiting]) if waiting else "Nothing waits for you."
            say(json.dumps(waiting, indent=2) if as_json else said)
            return
        found = next((one for one in waiting if code.lower() in {one["code"], one["approval_id"]}), None)
        if found is None:
            raise InvalidInput(f"Nothing that waits has the code {quoted(code)}.", hint="'mcp-messenger approve' lists what waits.")
        path = f"/approvals/{found['approval_id']}"
        if decision == "link":
            page = await server.post(f"{path}/link")
            say(json.dumps(page, indent=2) if as_json else page["url"])
            return
        if decision == "deny":
            answer = await server.post(f"{path}/deny", {"reason": text} if text else {})
        else:
            said = {} if text is None else {"answer" if found["kind"] == "question" else "message": text}
            answer = await server.post(f"{path}/approve", {**said, "always": decision == "always"})
        done = answer["approval"]
        if as_json:
            say(json.dumps(done, indent=2))
            return
        result: dict[str, Any] = done["result"] or {}
        say(f"{found['operation']} is {done['status']}. {clean(str(result.get('detail') or ''))}".strip())


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    chat = clean_line(one["chat_title"] or one["chat_id"] or "")
    return one["code"], one["operation"], chat, one["rule"], one["expires_at"][:16], _beginning(one)


def _beginning(one: dict[str, Any]) -> str:
    """Return how the text and the other arguments of a call begin; …: there is more, which its page shows."""
    others = {name: value for name, value in one["arguments"].items() if name not in UNSAID}
    said = clean_line(f"{one['content']} {json.dumps(others, ensure_ascii=False) if others else ''}".strip())
    return said if len(said) <= CONTENT_MAX else f"{said[: CONTENT_MAX - 1]}…"

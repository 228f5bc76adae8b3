"""An agent's errand over MCP: make a sandbox account, write to Ann, wait for her answer.

python examples/agent_send_and_wait.py                            # starts the server itself, over stdio
python examples/agent_send_and_wait.py http://127.0.0.1:3000/mcp  # uses one that runs (make run)
"""

import asyncio
import sys
import uuid
from typing import Any

from mcp import Client, StdioServerParameters

SERVER = StdioServerParameters(command=sys.executable, args=["-m", "mcp_messenger", "--log-level", "ERROR"])


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    answer = await client.call_tool(tool, arguments)
    if answer.is_error:
        # The text begins with a code and ends with the next step: a model can act on it.
        raise SystemExit(f"{tool}: {answer.content}")
    return answer.structured_content or {}


async def main(server: "str | StdioServerParameters") -> None:
    async with Client(server) as client:
        # The imaginary phone scans the QR code by itself; leave auto_scan out, and get_qr shows it.
        made = await call(client, "create_instance", provider="sandbox", credentials={"auto_scan": True})
        instance_id = made["instance_id"]
        while (await call(client, "get_auth_status", instance_id=instance_id))["state"] != "ready":
            await asyncio.sleep(0.2)
        # The key makes it safe to repeat the call when no answer came: the message is never sent twice.
        sent = await call(client, "send_message", instance_id=instance_id, to="ann", message="Lunch at noon?", idempotency_key=str(uuid.uuid4()))
        print("sent:", sent["status"])
        answer = await call(client, "wait_for_reply", instance_id=instance_id, message_id=sent["message_id"], timeout=30)
        print("reply:", answer["replies"][0]["text"])
        await call(client, "delete_instance", instance_id=instance_id, purge=True)


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else SERVER))

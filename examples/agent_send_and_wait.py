"""What an agent does over MCP: make a sandbox account, send a message, wait for the answer. No messenger account is needed.

python examples/agent_send_and_wait.py                              starts a server of its own, over stdio
python examples/agent_send_and_wait.py http://127.0.0.1:3000/mcp    uses one that runs already (mcp-messenger serve)
"""

import sys
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

OWN_SERVER = StdioServerParameters(command=sys.executable, args=["-m", "mcp_messenger", "--log-level", "WARNING"])


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await client.call_tool(tool, arguments)
    if answer.is_error:
        # It begins with a code, and ends with what to do next: give it to the model as it is.
        raise SystemExit(" ".join(block.text for block in answer.content if block.type == "text"))
    return answer.structured_content or {}


async def main(server: str | StdioServerParameters) -> None:
    async with Client(server) as client:
        # Where a person would scan the code that login shows, auto_scan has the sandbox do it.
        made = await call(client, "create_instance", provider="sandbox", credentials={"auto_scan": True})
        instance_id = made["instance_id"]
        login = await call(client, "login", instance_id=instance_id)
        if not login["authenticated"]:
            raise SystemExit(login["next_step"])

        # The same idempotency_key sends the same message once, however often the call is repeated.
        sent = await call(
            client, "send_message", instance_id=instance_id, to="ann", message="Hello Ann, can you hear me?", idempotency_key="example-1"
        )
        print(f"me:  Hello Ann, can you hear me?  ({sent['status']})")

        answer = await call(client, "wait_for_reply", instance_id=instance_id, message_id=sent["message_id"], timeout=30)
        for reply in answer["replies"]:
            # Written by somebody else: data for the model, never an instruction to it.
            print(f"{reply['from']}: {reply['text']}")
        # With purge=True the owner would be asked: what is purged does not come back.
        await call(client, "delete_instance", instance_id=instance_id)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else OWN_SERVER)

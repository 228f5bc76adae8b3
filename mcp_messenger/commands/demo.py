"""Try it in one terminal: an MCP client over stdio makes a sandbox instance, scans its QR code, sends, and waits for the answer."""

import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

from mcp_messenger.commands.terminal import qr_code, say
from mcp_messenger.errors import NotAvailable

PATIENCE = 60.0


async def demo() -> None:
    """Raises NotAvailable when a step fails or takes longer than a minute."""
    with tempfile.TemporaryDirectory(prefix="mcp-messenger-demo-", ignore_cleanup_errors=True) as folder:
        async with _client(folder) as client:
            with anyio.fail_after(PATIENCE):
                await _conversation(client)


@asynccontextmanager
async def _client(data_dir: str) -> AsyncGenerator[Client]:
    arguments = ["-m", "mcp_messenger", "--mode", "mcp", "--data-dir", data_dir, "--log-level", "WARNING"]
    async with Client(StdioServerParameters(command=sys.executable, args=arguments)) as client:
        yield client


async def _conversation(client: Client) -> None:
    say("1. The client starts the server and lists its tools.")
    tools = (await client.list_tools()).tools
    say(f"   {len(tools)} tools: {', '.join(tool.name for tool in tools[:6])}, ...")
    say("2. create_instance makes a sandbox account; login shows how to log it in.")
    instance_id = (await _call(client, "create_instance", provider="sandbox"))["instance_id"]
    link = (await _call(client, "login", instance_id=instance_id))["link"]
    say(qr_code(link))
    say(f"   The code opens {link}\n3. The demo scans it, as your phone would.")
    await _scan(link)
    await _call(client, "login", instance_id=instance_id, wait=60)
    say("   The instance is ready.\n4. send_message, then wait_for_reply.")
    sent = await _call(client, "send_message", instance_id=instance_id, to="ann", message="Hello Ann, can you hear me?")
    say(f"   me:  Hello Ann, can you hear me?   ({sent['status']})")
    answer = await _call(client, "wait_for_reply", instance_id=instance_id, message_id=sent["message_id"], timeout=30)
    if not answer.get("replies"):
        raise NotAvailable("The demo got no reply.", hint="Run it again; the log above may say why.")
    say(f"   Ann: {answer['replies'][0]['text']}\nReply received: the whole way works.")
    say("Next: 'mcp-messenger serve', or put it into your MCP client, as 'mcp-messenger clients' says.")


async def _call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await client.call_tool(tool, arguments)
    if answer.is_error:
        raise NotAvailable(f"{tool}: {_text(answer)}")
    return answer.structured_content or {}


def _text(answer: CallToolResult) -> str:
    return " ".join(block.text for block in answer.content if block.type == "text")


async def _scan(url: str) -> None:
    """What a person does on the page behind the code: press Link this device."""
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as phone:
        page = await phone.get(url)
        (await phone.post(f"{page.url}acts", json={"act": "link"})).raise_for_status()

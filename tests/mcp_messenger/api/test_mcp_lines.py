"""A line that the stdio server cannot read is answered, and the next one is read."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.mcp_clients import stdio_server

START = [
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}',
    '{"jsonrpc":"2.0","method":"notifications/initialized"}',
]
PING = '{"jsonrpc":"2.0","id":9,"method":"ping"}'


def answers(data_dir: Path, *lines: str | bytes, count: int) -> dict[Any, dict[str, Any]]:
    """Write the lines at once, and give so many answers by their id."""
    server = stdio_server(data_dir, None)
    with subprocess.Popen([server.command, *server.args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=server.cwd, env=server.env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
        process.stdin.flush()
        found = [json.loads(process.stdout.readline()) for _ in range(count)]
        process.stdin.close()
    return {answer["id"]: answer for answer in found}


def call(arguments: str) -> str:
    return f'{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"send_message","arguments":{arguments}}}}}'


@pytest.mark.parametrize(
    "arguments",
    [
        r'{"instance_id":"odd \ud83c","to":"ann","message":"hello"}',
        r'{"instance_id":"x","to":"ann \uDE00","message":"hello"}',
        r'{"instance_id":"x","to":"ann","message":"hello \ud83d"}',
        r'{"instance_id":"x","to":"ann","message":"hello","extra":{"deep":["\udc00"]}}',
        r'{"instance_id":"x","to":"ann","message":"hello","\ud83c":"a name"}',
    ],
)
def test_half_an_emoji_in_any_argument(arguments: str, tmp_path: Path) -> None:
    found = answers(tmp_path / "data", *START, call(arguments), PING, count=3)
    assert "half an emoji" in found[2]["error"]["message"]
    assert "result" in found[9]


@pytest.mark.parametrize("line", ["this is not json", '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"list_inst'])
def test_what_is_not_json(line: str, tmp_path: Path) -> None:
    found = answers(tmp_path / "data", *START, line, PING, count=3)
    assert found[None]["error"]["code"] == -32700
    assert "result" in found[9]


def test_bytes_that_are_not_utf_8_are_refused_and_reach_no_tool(tmp_path: Path) -> None:
    spoiled = call('{"instance_id":"x","to":"ann","message":"hello ~"}').encode().replace(b"~", b"\xff")
    found = answers(tmp_path / "data", *START, spoiled, PING, count=3)
    assert (found[None]["error"]["code"], found[None]["error"]["message"]) == (-32700, "The line is not UTF-8.")
    assert "result" in found[9]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    found = answers(tmp_path / "data", "\ufeff" + START[0], START[1], PING, count=2)
    assert "result" in found[1]
    assert "result" in found[9]

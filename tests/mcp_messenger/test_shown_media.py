"""A model sees a picture as a picture and a document as text; a file that would take the server down takes down a child at most."""

import io
import struct
import zipfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from docx import Document
from mcp import Client
from openpyxl import Workbook
from PIL import Image
from pypdf import PdfWriter

from mcp_messenger.media import child
from providers.models import Media, MediaKind
from tests.agent_desk import Desk
from tests.mcp_clients import call, in_memory, over_http, text_of
from tests.running import ready_sandbox, running_app, serving
from tests.standins.agent_os import AgentOsStandIn
from tests.stored import one

pytestmark = pytest.mark.anyio

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with running_app(database_url, tmp_path) as app:
        yield Desk(app, database_url, await ready_sandbox(app, persona="human"), AgentOsStandIn())


async def sent(desk: Desk, content: bytes, mime: str, name: str) -> str:
    """The id of a message with this file."""
    ref = desk.provider.world.add_file(content, mime, name)
    kind = MediaKind.IMAGE if mime.startswith("image/") else MediaKind.DOCUMENT
    await desk.write("look", media=(Media(kind=kind, ref=ref, name=name, mime=mime),), kind="media")
    return str(one(desk.url, "SELECT max(id) FROM messages"))


async def shown(client: Client, desk: Desk, message_id: str, **more: object) -> dict[str, object]:
    return await call(client, "get_media", instance_id=desk.instance_id, message_id=message_id, **more)


def picture(width: int, height: int, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height), (10, 200, 30) if mode == "RGB" else (10, 200, 30, 0)).save(out, "PNG")
    return out.getvalue()


def bomb(side: int) -> bytes:
    """A picture that says it is huge, and unpacks to that, in a few KB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(side + 1) * 100)) + chunk(b"IEND", b"")


def word() -> bytes:
    made, out = Document(), io.BytesIO()
    made.add_paragraph("Dear Ann,")
    table = made.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "shoes", "49.90"
    made.save(out)
    return out.getvalue()


def excel(rows: int) -> bytes:
    book, out = Workbook(), io.BytesIO()
    assert book.active is not None
    book.active.title = "Prices"
    for number in range(rows):
        book.active.append(["shoes", number])
    book.save(out)
    return out.getvalue()


def pdf() -> bytes:
    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(200, 200)
    writer.write(out)
    return out.getvalue()


def packed(size: int) -> bytes:
    """A document whose one part unpacks to so much."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("word/document.xml", "w", force_zip64=True) as part:
        for _ in range(size // 1_000_000):
            part.write(bytes(1_000_000))
    return out.getvalue()


async def test_a_picture_comes_as_a_block_scaled_and_a_document_as_text(desk: Desk) -> None:
    async with in_memory(desk.app) as client:
        message_id = await sent(desk, picture(3000, 1500), "image/png", "big.png")
        answer = await client.call_tool("get_media", {"instance_id": desk.instance_id, "message_id": message_id})
        text, block = answer.content
        assert (answer.structured_content or {})["width"] == 3000
        assert text.type == "text"
        assert block.type == "image"
        assert (block.mime_type, Image.open(io.BytesIO(b64decode(block.data))).size) == ("image/jpeg", (child.SIDE, child.SIDE // 2))
        assert block.data[:60] not in text.text

        found = await client.read_resource((answer.structured_content or {})["resource"])
        assert b64decode(found.contents[0].blob) == picture(3000, 1500)  # pyright: ignore[reportAttributeAccessIssue] - bytes

        see_through = await client.call_tool(
            "get_media", {"instance_id": desk.instance_id, "message_id": await sent(desk, picture(20, 20, "RGBA"), "image/png", "small.png")}
        )
        assert getattr(see_through.content[1], "mime_type", "") == "image/png"

        assert (await shown(client, desk, await sent(desk, word(), WORD, "letter.docx")))["text"] == "Dear Ann,\nshoes\t49.90"
        assert (await shown(client, desk, await sent(desk, b"a,b\n1,2", "text/csv", "a.csv")))["text"] == "a,b\n1,2"
        assert (await shown(client, desk, await sent(desk, pdf(), "application/pdf", "empty.pdf")))["text"] == "[page 1]\n"
        table = await sent(desk, excel(400), EXCEL, "prices.xlsx")
        first = await shown(client, desk, table, max_tokens=500)
        assert str(first["text"]).startswith("[sheet Prices]\nshoes\t0\nshoes\t1\n")
        rest = await shown(client, desk, table, max_tokens=50_000, offset=first["text_goes_on"])
        assert (f"{first['text']}{rest['text']}".endswith("shoes\t399"), "text_goes_on" in rest) == (True, False)


async def test_bytes_come_as_blocks_or_by_a_link_and_never_as_text(desk: Desk) -> None:
    """Also over HTTP, where the server's paths say nothing to the client."""
    sound = b"OggS" + bytes(range(200))
    async with serving(desk.app) as url, over_http(f"{url}/mcp") as remote:
        for content, mime, name, block in ((picture(20, 10), "image/png", "a.png", "image"), (sound, "audio/ogg", "a.ogg", "audio")):
            of = {"instance_id": desk.instance_id, "message_id": await sent(desk, content, mime, name)}
            for tool, more in (("download_media", {"inline": True}), ("get_media", dict[str, bool]())):
                answer = await remote.call_tool(tool, {**of, **more})
                assert [one.type for one in answer.content] == ["text", block]
                assert b64encode(content).decode()[:40] not in f"{text_of(answer)}{answer.structured_content}"
                assert mime in {getattr(answer.content[1], "mime_type", ""), "image/png"}
        plain = {"instance_id": desk.instance_id, "message_id": await sent(desk, bytes(100), "application/zip", "a.zip")}
        for tool, more in (("download_media", {"inline": True}), ("download_media", dict[str, bool]()), ("get_media", dict[str, bool]())):
            answer = await remote.call_tool(tool, {**plain, **more})
            link = answer.content[1]
            assert link.type == "resource_link"
            assert (link.name, link.size) == ("a.zip", 100)
            assert b64decode((await remote.read_resource(link.uri)).contents[0].blob) == bytes(100)  # pyright: ignore[reportAttributeAccessIssue] - bytes
            assert "AAAAAAAA" not in f"{text_of(answer)}{answer.structured_content}"


async def test_a_file_that_cannot_be_read_says_why_and_the_server_goes_on(desk: Desk) -> None:
    async with in_memory(desk.app) as client:
        for content, mime, name, why in (
            (bomb(60_000), "image/png", "bomb.png", "pixels"),
            (picture(9, 9)[:40], "image/png", "cut.png", "no picture"),
            (packed(child.UNPACKED + 10_000_000), WORD, "bomb.docx", "ValueError"),
            (b"%PDF-1.4 nothing", "application/pdf", "broken.pdf", "could not be read to its end"),
            (b"\x00\x01\x02", "application/octet-stream", "what.bin", "download_media"),
        ):
            answer = await shown(client, desk, await sent(desk, content, mime, name))
            assert why in str(answer["note"]), (name, answer)
        message_id = await sent(desk, picture(20, 10), "image/png", "fine.png")
        assert (await shown(client, desk, message_id))["height"] == 10

import os
import ssl
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from ipaddress import IPv4Network
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_messenger.errors import FetchRefused, InvalidInput, NotAllowed, PayloadTooLarge
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.net.uploads import MediaPolicy, load_upload
from providers.models import MediaKind, Upload
from tests.standins.website import Page, website

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
TLS = ssl.create_default_context()
LINKS = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A media folder, with a file beside it that must not be reached."""
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "photo.png").write_bytes(PNG)
    (folder / "sub").mkdir()
    (folder / "sub" / "note.txt").write_text("hello")
    (tmp_path / "secret.key").write_text("outside")
    return folder


def policy(*roots: Path) -> MediaPolicy:
    return MediaPolicy(roots=roots, network=NetworkPolicy((IPv4Network("127.0.0.0/8"),)), tls=TLS, seconds=10)


async def load(source: str, *roots: Path, max_bytes: int = 1000) -> Upload:
    return await load_upload(source, policy=policy(*roots), max_bytes=max_bytes)


async def test_from_a_url() -> None:
    async with website({"/a/photo": Page(PNG, headers={"Content-Type": "text/html"})}) as site:
        upload = await load(site.url("/a/photo").replace("http", "HTTP", 1))
    assert upload == Upload(kind=MediaKind.IMAGE, content=PNG, mime="image/png", name="photo.png")


async def test_a_url_goes_through_the_guard() -> None:
    with pytest.raises(FetchRefused):
        await load("http://169.254.169.254/latest/meta-data/")


@pytest.mark.parametrize(
    "source",
    [
        f"data:image/png;base64,{b64encode(PNG).decode()}",
        f"DATA:image/png;charset=x;BASE64,{b64encode(PNG).decode()}",
        f"data:;base64,{quote(b64encode(PNG).decode())}",
        f"data:image/png,{quote(PNG)}",
        f"base64:{b64encode(PNG).decode()}",
        f"base64: {urlsafe_b64encode(PNG).decode().rstrip('=')}\n",
    ],
)
async def test_from_the_call_itself(source: str) -> None:
    assert await load(source) == Upload(kind=MediaKind.IMAGE, content=PNG, mime="image/png", name="file.png")


@given(st.binary(min_size=1, max_size=100))
async def test_base64_is_read_back_in_either_alphabet(content: bytes) -> None:
    for encoded in (b64encode(content), urlsafe_b64encode(content)):
        assert (await load(f"base64:{encoded.decode()}")).content == content


async def test_text_in_a_data_uri() -> None:
    upload = await load("data:,hello%20world")
    assert (upload.content, upload.mime, upload.name, upload.kind) == (b"hello world", "text/plain", "file.txt", MediaKind.DOCUMENT)


async def test_what_the_caller_says_of_a_file() -> None:
    upload = await load_upload(
        "base64:aGVsbG8=", policy=policy(), max_bytes=1000, name="../a/list.md", mime="text/markdown; charset=utf-8", kind=MediaKind.STICKER
    )
    assert (upload.mime, upload.name, upload.kind) == ("text/markdown", "list.md", MediaKind.STICKER)


@pytest.mark.parametrize("mime", ["png", "image/", "image/png\r\nX-Injected: 1", "a" * 200 + "/b"])
async def test_a_type_that_is_none_is_refused(mime: str) -> None:
    with pytest.raises(InvalidInput, match="is not a media type"):
        await load_upload("base64:aGVsbG8=", policy=policy(), max_bytes=1000, mime=mime)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("base64:not base64!", "not base64"),
        ("base64:aGVsbG8=aGVsbG8=", "not base64"),
        ("data:image/png;base64,***", "not base64"),
        ("data:image/png;base64", "no comma"),
        ("base64:", "empty"),
        ("data:,", "empty"),
        ("ftp://example.org/x", "'ftp://' are not known"),
        ("file://other.example/x", "other hosts"),
    ],
)
async def test_sources_that_make_no_sense(source: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        await load(source)


@pytest.mark.parametrize("source", [f"base64:{b64encode(bytes(11)).decode()}", f"data:;base64,{b64encode(bytes(11)).decode()}", "data:,12345678901"])
async def test_content_in_the_call_has_the_limit_too(source: str) -> None:
    with pytest.raises(PayloadTooLarge, match="10 bytes"):
        await load(source, max_bytes=10)


async def test_from_a_path(root: Path) -> None:
    expected = Upload(kind=MediaKind.IMAGE, content=PNG, mime="image/png", name="photo.png")
    sources = [str(root / "photo.png"), "photo.png", "sub/../photo.png", "./photo.png", (root / "photo.png").as_uri()]
    for source in sources:
        assert await load(source, root) == expected, source
    assert (await load("sub/note.txt", root)).content == b"hello"


async def test_a_relative_path_is_looked_for_in_each_folder(root: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    assert (await load("photo.png", first, root)).content == PNG
    (first / "photo.png").write_bytes(b"mine")
    assert (await load("photo.png", first, root)).content == b"mine"


@pytest.mark.parametrize("relative", ["../secret.key", "../nothing.key", "sub/../../secret.key", "..", ".", ""])
async def test_what_lies_outside_is_refused_whether_it_exists_or_not(root: Path, relative: str) -> None:
    for source in (relative, str(root / relative), (root / "x").as_uri()[:-1] + quote(relative)):
        with pytest.raises(NotAllowed, match="is not in a media folder") as caught:
            await load(source, root)
        assert caught.value.hint == f"Put the file into {root}."


async def test_the_refusal_outside_is_the_same_for_all(root: Path) -> None:
    words: set[str] = set()
    for name in ("secret.key", "nothing"):
        with pytest.raises(NotAllowed) as caught:
            await load(f"../{name}", root)
        words.add(str(caught.value).replace(name, ""))
    assert len(words) == 1


async def test_without_media_folders_no_path_is_taken() -> None:
    with pytest.raises(NotAllowed) as caught:
        await load(__file__)
    assert "base64:" in str(caught.value.hint)


async def test_the_current_folder_is_no_media_folder(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        await load("secret.key", root)


@pytest.mark.parametrize("path", ["nothing.png", "photo.png/x", "sub/nothing/x.png", "x" * 300])
async def test_a_missing_file_inside(root: Path, path: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be read") as caught:
        await load(path, root)
    assert ("base64:" in str(caught.value.hint)) == (len(path) > 200)


async def test_a_nul_in_a_path(root: Path) -> None:
    with pytest.raises(NotAllowed):
        await load("photo.png\0.txt", root)


async def test_a_folder_is_not_a_file(root: Path) -> None:
    with pytest.raises(InvalidInput):
        await load("sub", root)


async def test_an_empty_file(root: Path) -> None:
    (root / "empty.png").touch()
    with pytest.raises(InvalidInput, match="empty"):
        await load("empty.png", root)


async def test_a_file_over_the_limit(root: Path) -> None:
    assert (await load("photo.png", root, max_bytes=len(PNG))).content == PNG
    with pytest.raises(PayloadTooLarge):
        await load("photo.png", root, max_bytes=len(PNG) - 1)


@LINKS
async def test_links_are_followed_inside_and_refused_outside(root: Path, tmp_path: Path) -> None:
    (root / "inner.png").symlink_to(root / "photo.png")
    (root / "outer.txt").symlink_to(tmp_path / "secret.key")
    (root / "dangling.txt").symlink_to(tmp_path / "nothing")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    assert (await load("inner.png", root)).content == PNG
    for source in ("outer.txt", "dangling.txt", "up/secret.key", "up/nothing"):
        with pytest.raises(NotAllowed):
            await load(source, root)
    with pytest.raises(InvalidInput):
        await load("loop", root)


@LINKS
async def test_a_media_folder_may_itself_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert (await load(str(tmp_path / "link" / "photo.png"), tmp_path / "link")).content == PNG
    assert (await load(str(root / "photo.png"), tmp_path / "link")).content == PNG


@LINKS
@pytest.mark.parametrize("swapped", ["sub", "sub/note.txt"])
async def test_a_link_put_there_after_the_check_is_not_followed(root: Path, tmp_path: Path, swapped: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check has seen the plain path; by the time of opening, a part of it is a link to the outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "note.txt").write_text("outside")
    real = os.path.realpath

    def realpath_then_swap(path: str | os.PathLike[str]) -> str:
        answer = real(path)
        if answer.endswith("note.txt") and not (root / "kept").exists():
            (root / swapped).rename(root / "kept")
            (root / swapped).symlink_to(outside / "note.txt" if swapped.endswith(".txt") else outside)
        return answer

    monkeypatch.setattr(os.path, "realpath", realpath_then_swap)
    with pytest.raises(InvalidInput, match="cannot be read"):
        await load("sub/note.txt", root)
    assert (root / "kept").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
async def test_a_pipe_is_not_a_file_and_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    with pytest.raises(InvalidInput, match="is not a file"):
        await load("pipe.png", root)


def test_sending_a_file_does_not_load_an_http_client() -> None:
    subprocess.run([sys.executable, "-c", "import sys, mcp_messenger.net.uploads; sys.exit('httpx' in sys.modules)"], check=True)

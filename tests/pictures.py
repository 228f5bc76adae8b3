"""The pictures of the documents, taken from the running product: `python -m tests.pictures` makes them again.

demo.svg is what `mcp-messenger demo` prints; chat.png is the sandbox's chat page, login.png the
login page and add.png the page that adds an account, all in Chromium.

`python -m tests.pictures FOLDER` puts pictures of every page into a folder instead, to look at: each in English and Russian, light and dark,
390 and 1280 pixels wide. It fails for a page that is wider than its window.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

from tests.browser import CHROMIUM, FLAGS
from tests.program import ROOT, environment, program
from tests.waiting import until_blocking

PICTURES = ROOT / "docs" / "pictures"
WIDTH, HEIGHT, MARGIN, BAR = 8.4, 18, 16, 30
"""Pixels of a character of the terminal, of its margin, and of the bar above it."""
BLOCKS = {"█": (0.0, 1.0), "▀": (0.0, 0.5), "▄": (0.5, 0.5)}
"""Which part of its cell a block of a QR code fills: from, and how much. Fonts leave gaps between them."""
SHORT_LINK = 40


def terminal(lines: list[str]) -> str:
    """An SVG of a terminal with these lines."""
    width = max(len(line) for line in lines) * WIDTH + 2 * MARGIN
    height = len(lines) * HEIGHT + 2 * MARGIN + BAR
    drawn = [_line(line, BAR + MARGIN + row * HEIGHT) for row, line in enumerate(lines)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img" '
        f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14">'
        f"<title>mcp-messenger demo in a terminal</title>"
        f'<rect width="100%" height="100%" rx="8" fill="#17202a"/>'
        f'<circle cx="18" cy="16" r="5" fill="#e06c60"/><circle cx="36" cy="16" r="5" fill="#d9b44a"/><circle cx="54" cy="16" r="5" fill="#67b279"/>'
        f"{''.join(drawn)}</svg>\n"
    )


def _line(line: str, top: float) -> str:
    if set(line) <= {*BLOCKS, " "}:
        return "".join(_block(sign, MARGIN + column * WIDTH, top) for column, sign in enumerate(line) if sign in BLOCKS)
    colour = "#8fd19e" if line.startswith("$") else "#e8edf2"
    return f'<text x="{MARGIN}" y="{top + 14:.1f}" fill="{colour}" xml:space="preserve">{escape(line)}</text>'


def _block(sign: str, left: float, top: float) -> str:
    start, share = BLOCKS[sign]
    # A little more than the cell, so that no line shows between two of them.
    size = f'width="{WIDTH + 0.3:.1f}" height="{share * HEIGHT + 0.3:.1f}"'
    return f'<rect shape-rendering="crispEdges" x="{left:.1f}" y="{top + start * HEIGHT:.1f}" {size} fill="#e8edf2"/>'


def demo() -> str:
    """The demo's own output, with its link cut to a readable length."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mcp_messenger", "demo"]
        said = subprocess.run(command, cwd=ROOT, env=environment(Path(folder) / "data"), capture_output=True, text=True, check=True).stdout
    lines = [line if "http://" not in line else f"{line[: line.index('http://') + SHORT_LINK]}…" for line in said.rstrip().splitlines()]
    return terminal(["$ mcp-messenger demo", *lines])


def pages(browser: Browser) -> None:
    """Log a sandbox account in by its page, write as Ann, answer over REST."""
    with tempfile.TemporaryDirectory() as folder, program(["serve", "--port", "0"], environment(Path(folder) / "data")) as server:
        api = httpx.Client(base_url=f"{server.url}/api/v1", trust_env=False, timeout=30)
        settings = {"persona": "human", "account_name": "Shop Agent"}
        id = api.post("/instances", json={"provider": "sandbox", "name": "Shop", "credentials": settings}).json()["instance_id"]
        with _page(browser, 780, 620) as page:
            page.goto(f"{server.url}/api/v1/instances/{id}/qr-page")
            page.locator("svg").wait_for()
            page.screenshot(path=PICTURES / "login.png", full_page=True)
        with _page(browser, 780, 620) as page:
            page.goto(api.post("/add-account", json={"provider": "telegram"}).json()["url"])
            page.screenshot(path=PICTURES / "add.png", full_page=True)
        with _page(browser, 900, 560) as page:
            page.goto(api.get(f"/instances/{id}/qr").json()["qr"])
            page.get_by_role("button", name="Link this device").click()
            page.get_by_role("button", name="Ann Lee").click()
            before = api.get(f"/instances/{id}/wait", params={"timeout": 0}).json()["cursor"]
            _say(page, "Hello! Is the blue lamp still there?")
            asked = api.get(f"/instances/{id}/wait", params={"timeout": 30, "cursor": before}).json()["messages"][-1]
            answer = {"to": asked["chat_id"], "message": "Yes, two of them. Shall I put one aside for you?", "reply_to": asked["id"]}
            api.post(f"/instances/{id}/send", json=answer).raise_for_status()
            page.get_by_text("Shall I put one aside").first.wait_for()
            _say(page, "Yes, please. I will come on Friday.")
            page.get_by_text("I will come on Friday").first.wait_for()
            page.screenshot(path=PICTURES / "chat.png")


def gallery(browser: Browser, folder: Path) -> list[str]:
    """Take a picture of every page in every form; return the names of those that are wider than their window."""
    too_wide: list[str] = []
    with tempfile.TemporaryDirectory() as data, program(["serve", "--port", "0"], environment(Path(data) / "data")) as server:
        api = httpx.Client(base_url=f"{server.url}/api/v1", trust_env=False, timeout=60)
        addresses = _addresses(api, server.url)
        for name, address in addresses.items():
            for language in ("en", "ru"):
                for scheme, width in (("light", 390), ("dark", 390), ("light", 1280), ("dark", 1280)):
                    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "locale": language}
                    page: Any = browser.new_page(**options)  # pyright: ignore[reportArgumentType] - the options of this call
                    page.goto(address)
                    page.locator("main:visible, #app:visible").first.wait_for()
                    if name == "docs":
                        page.locator("details[data-method=POST][data-path$='/send'] > summary").first.click()
                        page.locator("details[open]").first.scroll_into_view_if_needed()
                    elif name == "chat":
                        page.get_by_role("button", name="Ann Lee").click()
                        page.get_by_text("Ann, can you").last.wait_for()
                    picture = f"{name}-{language}-{scheme}-{width}.png"
                    page.screenshot(path=folder / picture, full_page=name != "docs")
                    if page.evaluate("document.documentElement.scrollWidth") > width:
                        too_wide.append(picture)
                    page.close()
    return too_wide


def _addresses(api: httpx.Client, url: str) -> dict[str, str]:
    """Return the address of each page by its name, with something on it."""

    def made(**settings: object) -> str:
        body = {"provider": "sandbox", "name": "Shop", "credentials": {"persona": "human", "account_name": "Shop Agent", **settings}}
        return api.post("/instances", json=body).raise_for_status().json()["instance_id"]

    waits, ready = made(), made(auto_scan=True)
    until_blocking(lambda: api.get(f"/instances/{waits}/auth-status").json()["state"] == "qr_ready")
    until_blocking(lambda: api.get(f"/instances/{ready}/auth-status").json()["state"] == "ready")
    api.post(f"/instances/{ready}/send", json={"to": "ann", "message": "Ann, can you come on Friday?"}).raise_for_status()
    draft = api.post(f"/instances/{ready}/drafts", json={"to": "ann", "message": "Dear Ann, the lamp is put aside.", "reason": "She asked."})
    approval = draft.raise_for_status().json()["approval"]["approval_id"]
    chat = re.search(r"http\S+?(?=\.?$|\s)", api.get(f"/instances/{ready}").json()["instance"]["status_reason"])
    assert chat is not None
    return {
        "add": api.post("/add-account", json={}).json()["url"],
        "add-telegram": api.post("/add-account", json={"provider": "telegram"}).json()["url"],
        "add-slack": api.post("/add-account", json={"provider": "slack"}).json()["url"],
        "login": f"{url}/api/v1/instances/{waits}/qr-page",
        "logged-in": f"{url}/api/v1/instances/{ready}/qr-page",
        "approval": api.post(f"/approvals/{approval}/link").raise_for_status().json()["url"],
        "over": f"{url}/add/{'0' * 43}",
        "link": str(api.get(api.get(f"/instances/{waits}/qr").json()["qr"], follow_redirects=True).url),
        "chat": chat[0],
        "docs": f"{url}/docs",
    }


@contextmanager
def _page(browser: Browser, width: int, height: int) -> Generator[Any]:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
    page.set_default_timeout(15_000)
    yield page
    page.close()


def _say(page: Any, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def main(folder: Path | None) -> int:
    """Make the pictures of the documents, or a gallery in the folder. Return the exit code."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                too_wide = gallery(browser, folder)
                if too_wide:
                    sys.stderr.write(f"Wider than their window: {', '.join(too_wide)}\n")
                return 1 if too_wide else 0
            PICTURES.mkdir(exist_ok=True)
            (PICTURES / "demo.svg").write_text(demo(), encoding="utf-8")
            pages(browser)
        finally:
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))

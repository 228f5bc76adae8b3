"""The pictures of the documents, taken from the running product: `python -m tests.pictures` makes them again.

demo.svg is what `mcp-messenger demo` prints; chat.png is the sandbox's chat page and login.png the QR login page, both in Chromium.
"""

import os
import shutil
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

from tests.program import ROOT, environment, program

PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
AS_ROOT = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
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
        id = api.post("/instances", json={"provider": "sandbox", "credentials": settings}).json()["instance_id"]
        with _page(browser, 480, 620) as page:
            page.goto(f"{server.url}/api/v1/instances/{id}/qr-page")
            while page.locator("svg").count() == 0:
                page.wait_for_load_state("load")
                page.reload()
            page.screenshot(path=PICTURES / "login.png")
        with _page(browser, 900, 560) as page:
            page.goto(api.get(f"/instances/{id}/qr").json()["qr"])
            page.get_by_role("button", name="Link this device").click()
            page.get_by_role("button", name="Ann Lee").click()
            _say(page, "Hello! Is the blue lamp still there?")
            asked = api.get(f"/instances/{id}/wait", params={"timeout": 30}).json()["messages"][-1]
            answer = {"to": asked["chat_id"], "message": "Yes, two of them. Shall I put one aside for you?", "reply_to": asked["id"]}
            api.post(f"/instances/{id}/send", json=answer).raise_for_status()
            page.get_by_text("Shall I put one aside").first.wait_for()
            _say(page, "Yes, please. I will come on Friday.")
            page.get_by_text("I will come on Friday").first.wait_for()
            page.screenshot(path=PICTURES / "chat.png")


@contextmanager
def _page(browser: Browser, width: int, height: int) -> Generator[Any]:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
    page.set_default_timeout(15_000)
    yield page
    page.close()


def _say(page: Any, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "demo.svg").write_text(demo(), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu", *AS_ROOT])
        pages(browser)
        # To look at, not to keep.
        page = browser.new_page(viewport={"width": 900, "height": 700})
        page.goto((PICTURES / "demo.svg").as_uri())
        if len(sys.argv) > 1:
            page.screenshot(path=sys.argv[1])
        browser.close()

"""Node, Chromium and the bridge's modules for tests; the modules are installed once, into a folder that git ignores."""

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from db.filelock import exclusive
from providers.whatsappweb.machine import BRIDGE

_ROOT = Path(__file__).parents[3]
_CACHE = _ROOT / ".cache" / "whatsapp"


@cache
def modules() -> Path:
    """The folder with `node_modules`, as the lock file says. Skips the test where npm is missing or cannot get them."""
    lock = (BRIDGE / "package-lock.json").read_bytes()
    folder = _CACHE / hashlib.sha256(lock).hexdigest()[:12]
    if not (folder / "installed").exists():
        _install(folder)
    return folder


def _install(folder: Path) -> None:
    npm = shutil.which("npm") or pytest.skip("npm is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / "lock", timeout=400):
        if (folder / "installed").exists():
            return
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(BRIDGE / name, folder)
        env = {**os.environ, "PUPPETEER_SKIP_DOWNLOAD": "1"}
        done = subprocess.run(
            [npm, "ci", "--omit=dev", "--omit=optional"], cwd=folder, env=env, capture_output=True, text=True, timeout=400, check=False
        )
        if done.returncode:
            pytest.skip(f"npm ci did not work: {done.stderr.strip().splitlines()[-1:]}")
        (folder / "installed").touch()


@cache
def node() -> str:
    return shutil.which("node") or pytest.skip("node is not installed")


@cache
def chromium() -> str:
    """WHATSAPP_CHROMIUM, or what is found: the smaller one first, which starts in half the time."""
    found = os.environ.get("WHATSAPP_CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")
    return found or pytest.skip("Chromium is not installed")

"""What this machine has to have for WhatsApp Web: Node.js, a Chromium, and the bridge's modules."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from providers.errors import MessengerError

BRIDGE = Path(__file__).parent / "bridge"

_NODES = ("node", "nodejs")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chromium-headless-shell")


class NotInstalled(MessengerError):
    """Something that WhatsApp Web needs is not on this machine."""

    code = "not_available"


@dataclass(frozen=True)
class Machine:
    node: str
    chromium: str
    modules: Path
    """The folder whose `node_modules` hold whatsapp-web.js."""
    chromium_args: str = "[]"
    """Further arguments for Chromium, a JSON list."""


def find_machine(environ: Mapping[str, str] = os.environ) -> Machine:
    """As WHATSAPP_NODE, WHATSAPP_CHROMIUM, WHATSAPP_MODULES and WA_CHROMIUM_ARGS say, or what is found. Raises NotInstalled."""
    node = environ.get("WHATSAPP_NODE") or _first(_NODES)
    if node is None:
        raise NotInstalled("Node.js was not found.", hint="Install Node.js 20 or newer, or set WHATSAPP_NODE to it.")
    chromium = environ.get("WHATSAPP_CHROMIUM") or _first(_BROWSERS)
    if chromium is None:
        raise NotInstalled("No Chromium was found.", hint="Install chromium, or set WHATSAPP_CHROMIUM to it.")
    modules = Path(environ.get("WHATSAPP_MODULES") or BRIDGE)
    if not (modules / "node_modules" / "whatsapp-web.js" / "package.json").is_file():
        raise NotInstalled(f"whatsapp-web.js is not installed in {modules}.", hint="Run `make whatsapp`, or set WHATSAPP_MODULES to where it is.")
    return Machine(node, chromium, modules, environ.get("WA_CHROMIUM_ARGS") or "[]")


def _first(names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := shutil.which(name))), None)

"""What this machine has to have for WhatsApp Web: Node.js, a Chromium, and the bridge's modules."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from providers.errors import InvalidRequest, MessengerError
from providers.proxies import proxy_for

BRIDGE = Path(__file__).parent / "bridge"

_WHATSAPP = "https://web.whatsapp.com"
_NODES = ("node", "nodejs")
_ARGUMENTS = ("WA_IMAGE_CHROMIUM_ARGS", "WA_CHROMIUM_ARGS")
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
    bridge: Path = BRIDGE
    """The folder of bridge.mjs, which may be newer than this package."""


def find_machine(environ: Mapping[str, str] = os.environ) -> Machine:
    """Return the machine as WHATSAPP_NODE, WHATSAPP_CHROMIUM, WHATSAPP_MODULES and WHATSAPP_BRIDGE say, or as it is found.

    WA_CHROMIUM_ARGS adds to the arguments that the image needs (WA_IMAGE_CHROMIUM_ARGS). Raises NotInstalled and InvalidRequest.
    """
    node = environ.get("WHATSAPP_NODE") or _first(_NODES)
    if node is None:
        raise NotInstalled("Node.js was not found.", hint="Install Node.js 20 or newer, or set WHATSAPP_NODE to it.")
    chromium = environ.get("WHATSAPP_CHROMIUM") or _first(_BROWSERS)
    if chromium is None:
        raise NotInstalled("No Chromium was found.", hint="Install chromium, or set WHATSAPP_CHROMIUM to it.")
    modules = Path(environ.get("WHATSAPP_MODULES") or BRIDGE)
    if not (modules / "node_modules" / "whatsapp-web.js" / "package.json").is_file():
        hint = f"Run `npm ci --omit=dev --omit=optional` in {BRIDGE}, or set WHATSAPP_MODULES to where it is."
        raise NotInstalled(f"whatsapp-web.js is not installed in {modules}.", hint=hint)
    bridge = Path(environ.get("WHATSAPP_BRIDGE") or BRIDGE)
    if not (bridge / "bridge.mjs").is_file():
        raise NotInstalled(f"There is no bridge.mjs in {bridge}.", hint="Set WHATSAPP_BRIDGE to a folder that holds the bridge, or unset it.")
    arguments = json.dumps([argument for name in _ARGUMENTS for argument in _arguments(environ, name)])
    return Machine(node, chromium, modules, arguments, bridge)


def _arguments(environ: Mapping[str, str], name: str) -> list[str]:
    try:
        found = json.loads(environ.get(name) or "[]")
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(argument, str) for argument in cast("list[object]", found)):
        raise InvalidRequest(f"{name} is not a JSON list of texts.", hint='Write it like ["--lang=en"].')
    return cast("list[str]", found)


def behind_proxy(machine: Machine) -> Machine:
    """Return a machine whose Chromium takes the proxy of the environment, unless its arguments name one.

    Raises InvalidRequest for a proxy that Chromium cannot use.
    """
    proxy = proxy_for(_WHATSAPP)
    arguments: list[str] = json.loads(machine.chromium_args)
    if proxy is None or any(argument.startswith("--proxy-") for argument in arguments):
        return machine
    parts = urlsplit(proxy)
    if parts.username:
        hint = "Name a proxy without a login, such as one on this machine, in ALL_PROXY."
        raise InvalidRequest("Chromium takes no user name and password for a proxy from the environment.", hint=hint)
    address = parts._replace(scheme=parts.scheme.replace("socks5h", "socks5"), path="").geturl()
    return replace(machine, chromium_args=json.dumps([*arguments, f"--proxy-server={address}"]))


def _first(names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := shutil.which(name))), None)

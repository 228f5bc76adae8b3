"""The bridge's own tests, and what its package promises."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from providers.errors import InvalidRequest
from providers.whatsappweb.machine import BRIDGE, find_machine
from providers.whatsappweb.provider import WhatsAppWebProvider
from tests.providers.whatsappweb import machine

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("script", ["lint.mjs", "--test"])
def test_the_bridge_passes_its_own_checks(script: str) -> None:
    files = [str(path) for path in sorted((BRIDGE / "test").glob("*.test.mjs"))] if script == "--test" else []
    done = subprocess.run([machine.node(), script, *files], cwd=BRIDGE, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_arguments_of_the_settings_add_to_those_of_the_image() -> None:
    """Without a sandbox's rights a container's Chromium ends at once."""
    environ = {"WHATSAPP_NODE": "/node", "WHATSAPP_CHROMIUM": "/chromium", "WHATSAPP_MODULES": str(machine.modules())}
    environ |= {"WA_IMAGE_CHROMIUM_ARGS": '["--no-sandbox"]', "WA_CHROMIUM_ARGS": '["--lang=en"]'}
    assert json.loads(find_machine(environ).chromium_args) == ["--no-sandbox", "--lang=en"]
    assert "WA_IMAGE_CHROMIUM_ARGS" not in WhatsAppWebProvider.passed_on
    set_by_image = {line.strip().removeprefix("ENV ").partition("=")[0] for line in (ROOT / "Dockerfile").read_text().splitlines()}
    assert set_by_image & {"WA_IMAGE_CHROMIUM_ARGS", *WhatsAppWebProvider.passed_on} == {"WA_IMAGE_CHROMIUM_ARGS"}
    with pytest.raises(InvalidRequest, match="WA_CHROMIUM_ARGS is not a JSON list"):
        find_machine(environ | {"WA_CHROMIUM_ARGS": "--lang=en"})


def test_its_dependencies_are_pinned_and_name_no_registry() -> None:
    package = json.loads((BRIDGE / "package.json").read_text())
    lock = json.loads((BRIDGE / "package-lock.json").read_text())
    locked = {name: entry for name, entry in lock["packages"].items() if name}
    assert package["dependencies"] == {"whatsapp-web.js": locked["node_modules/whatsapp-web.js"]["version"]}
    assert all("integrity" in entry for entry in locked.values())
    assert not any("resolved" in entry for entry in locked.values())


def test_the_self_test_names_capabilities_that_the_messenger_has() -> None:
    found = re.findall(r"needed\(\s*'([a-z_ ]*)'", (BRIDGE / "needs.mjs").read_text())
    named = {capability for capabilities in found for capability in capabilities.split()}
    assert len(found) > 50
    assert named <= {str(capability) for capability in WhatsAppWebProvider.capabilities}

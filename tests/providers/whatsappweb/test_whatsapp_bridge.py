"""The bridge's own tests, and what its package promises."""

import json
import subprocess

import pytest

from providers.whatsappweb.machine import BRIDGE
from tests.providers.whatsappweb import machine


@pytest.mark.parametrize("script", ["lint.mjs", "--test"])
def test_the_bridge_passes_its_own_checks(script: str) -> None:
    files = [str(path) for path in sorted((BRIDGE / "test").glob("*.test.mjs"))] if script == "--test" else []
    done = subprocess.run([machine.node(), script, *files], cwd=BRIDGE, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_dependencies_are_pinned_and_name_no_registry() -> None:
    package = json.loads((BRIDGE / "package.json").read_text())
    lock = json.loads((BRIDGE / "package-lock.json").read_text())
    locked = {name: entry for name, entry in lock["packages"].items() if name}
    assert package["dependencies"] == {"whatsapp-web.js": locked["node_modules/whatsapp-web.js"]["version"]}
    assert all("integrity" in entry for entry in locked.values())
    assert not any("resolved" in entry for entry in locked.values())

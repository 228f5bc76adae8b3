"""A relay of each messenger comes up, answers to its key, and reports the platform's trouble in its state."""

from pathlib import Path

import anyio
import pytest

from mcp_messenger.config.modes import API_MODES, mode_of
from mcp_messenger.relay import protocol
from providers import REGISTRY
from tests.mcp_messenger.relay.messengers import SETTINGS
from tests.mcp_messenger.relay.process import PATIENCE, running_relay

pytestmark = pytest.mark.anyio


def test_every_messenger_has_its_mode() -> None:
    assert {mode_of(name): name for name in REGISTRY} | {"whatsapp-api": "whatsappweb"} == API_MODES
    assert SETTINGS.keys() == REGISTRY.keys() - {"whatsappweb"}, "WhatsApp Web alone is tested with its browser"


@pytest.mark.parametrize("provider", SETTINGS)
async def test_a_relay_comes_up_and_reports_its_state(provider: str, tmp_path: Path) -> None:
    async with running_relay(provider, tmp_path) as relay, relay.http() as manager, relay.http(None) as stranger:
        assert (await stranger.get(protocol.HEALTH)).json()["state"] == "starting", "it waits for its manager's settings"
        assert (await stranger.get(protocol.EVENTS)).status_code == 401
        (await manager.put(protocol.SETTINGS, json=SETTINGS[provider])).raise_for_status()
        with anyio.fail_after(PATIENCE):
            while True:
                state = (await manager.get(protocol.EVENTS, params={"wait": 1})).json()["state"]
                if state["state"] == "ready" or "manager" not in state.get("reason", "manager"):
                    break
        assert state["state"] == ("ready" if provider == "sandbox" else state["state"])
        assert state["state"] in {"ready", "starting", "degraded", "error"}
        log = relay.log()
        assert [value for name, value in SETTINGS[provider].items() if "token" in name or "secret" in name if value in log] == []

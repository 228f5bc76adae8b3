"""Each messenger runs alone: the program comes up in its mode, answers to its key, and says in its state what the platform does."""

from pathlib import Path

import anyio
import pytest

from mcp_messenger.config.modes import API_MODES, mode_of
from providers import REGISTRY
from tests.mcp_messenger.relay.messengers import SETTINGS
from tests.mcp_messenger.relay.process import PATIENCE, managed

pytestmark = pytest.mark.anyio


def test_every_messenger_has_its_mode() -> None:
    assert {mode_of(name): name for name in REGISTRY} | {"whatsapp-api": "whatsappweb"} == API_MODES
    assert SETTINGS.keys() == REGISTRY.keys() - {"whatsappweb"}, "WhatsApp Web alone is tested with its browser"


@pytest.mark.parametrize("provider", SETTINGS)
async def test_a_messenger_alone_comes_up_and_says_how_it_stands(provider: str, tmp_path: Path) -> None:
    async with managed(provider, tmp_path) as program, program.http() as owner, program.http(None) as stranger:
        assert (await stranger.get("/health")).status_code == 200
        assert (await stranger.get("/api/v1/status")).status_code == 401
        assert (await owner.get("/api/v1/status")).json()["state"] == "starting", "it waits for its manager's settings"
        (await owner.put("/port/settings", json=SETTINGS[provider])).raise_for_status()
        with anyio.fail_after(PATIENCE):
            while True:
                status = (await owner.get("/api/v1/status")).json()
                if status["state"] == "ready" or (status["reason"] and "manager" not in status["reason"]):
                    break
                await anyio.sleep(0.05)
        assert status["state"] == ("ready" if provider == "sandbox" else status["state"])
        assert status["state"] in {"ready", "starting", "degraded", "error"}
        assert (await owner.get("/api/v1/chats")).status_code == 200
        log = program.log()
        assert [value for name, value in SETTINGS[provider].items() if "token" in name or "secret" in name if value in log] == []

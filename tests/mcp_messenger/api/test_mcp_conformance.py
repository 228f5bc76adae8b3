"""The official conformance suite, in both eras, against the application over HTTP."""

import re
import subprocess
from pathlib import Path

import anyio
import pytest

from mcp_messenger.api.http import HttpApi
from tests.mcp_messenger.api.conformance_server import ConformanceServer, let_watch
from tests.npm import installed
from tests.running import running_app, serving_asgi

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(420)]

SUITE, NODE = "@modelcontextprotocol/conformance@0.2.0-alpha.12", "node@22"
RELEASED = "released@npm:@modelcontextprotocol/conformance@0.1.16"
"""The latest release, which knows the older era alone."""
RUN_WITHIN = 200.0
SCENARIOS = 25
"""The least that each of them has to try; how they went is in the exit status."""


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder of the suites, and of the newer Node.js that they need."""
    folder = installed("conformance", SUITE, RELEASED, NODE, scripts=True) / "node_modules"
    if subprocess.run([folder / ".bin" / "node", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("Node.js 22 cannot be installed with npm here")
    return folder


@pytest.mark.parametrize(
    ("package", "options"),
    [
        ("@modelcontextprotocol/conformance", ("--requirements", "2025-11-25")),
        ("@modelcontextprotocol/conformance", ("--requirements", "2026-07-28")),
        ("released", ()),
    ],
    ids=["2025-11-25", "2026-07-28", "released"],
)
async def test_conforms(packages: Path, package: str, options: tuple[str, ...], database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        asgi = HttpApi(app, server=ConformanceServer)
        let_watch(asgi.endpoints.server)
        async with serving_asgi(asgi) as url:
            command = [str(packages / ".bin" / "node"), str(packages / package / "dist" / "index.js"), "server"]
            with anyio.fail_after(RUN_WITHIN):
                run = await anyio.run_process([*command, "--url", f"{url}/mcp", *options, "-o", "results"], cwd=tmp_path, check=False)
    words = run.stdout.decode()
    assert run.returncode == 0, words + run.stderr.decode()
    assert len(re.findall(r"[1-9]\d* passed, 0 failed", words.partition("=== SUMMARY ===")[2])) > SCENARIOS

"""The demo goes the whole way: store, server over stdio, sandbox, QR code, scan, message, reply."""

import subprocess
import sys
from pathlib import Path

from tests.program import PATIENCE, ROOT, environment


def test_the_demo_ends_with_the_reply(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mcp_messenger", "demo"],
        cwd=ROOT,
        env=environment(tmp_path / "unused"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "tools: create_instance" in run.stdout
    assert "Ann: echo: Hello Ann, can you hear me?" in run.stdout
    received, next_step = run.stdout.splitlines()[-2:]
    assert (received.startswith("Reply received"), next_step.startswith("Next: ")) == (True, True)
    assert run.stderr == ""
    assert not (tmp_path / "unused").exists()

"""The first minutes of somebody new, timed: `python -m tests.fresh_clone [SECONDS]`, or `make fresh`.

Clones what is committed, types the README's commands there, tries what the server prints, and waits for the sandbox's first reply. Fails where
that takes longer than SECONDS (60), or where nothing is shown for longer than SILENCE meanwhile. Needs git, make, curl, the package index, and no
package of Python's: nothing is installed yet.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
WITHIN = 60.0
SILENCE = 20.0
"""Seconds after which somebody new thinks that it hangs."""


class Watched:
    """A command whose output is timed."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        # Its own group: make ends with what it has started.
        self.process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.said = ""
        self.longest_silence = 0.0
        self.ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        last = time.monotonic()
        for line in self.process.stdout:
            now = time.monotonic()
            self.longest_silence = max(self.longest_silence, now - last)
            last = now
            self.said += line
            if line.rstrip().endswith("to stop."):
                break
        self.ready.set()
        for _ in self.process.stdout:
            pass


def main(within: float) -> int:
    """Return the exit code: 1 where it took longer, or was silent for longer, than somebody new waits."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^make run\b", readme, re.MULTILINE), "the README says another command"
    with tempfile.TemporaryDirectory(prefix="fresh-clone-", ignore_cleanup_errors=True) as folder:
        began = time.monotonic()
        clone = Path(folder) / "mcp-messenger"
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", f"file://{ROOT}", str(clone)], check=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "MCP_MESSENGER_", "DATABASE_"))}
        env["MCP_MESSENGER_DATA_DIR"] = str(Path(folder) / "data")
        # Of the README's command, with a port: the usual one may be in use here.
        server = Watched(["make", "run", f"PORT={_free_port()}"], clone, env)
        try:
            server.ready.wait(10 * within)
            installed = time.monotonic() - began
            (tried,) = re.findall(r"^Try it:  (.*?)$(?=\n\S)", server.said, re.MULTILINE | re.DOTALL)
            subprocess.run(["sh", "-c", tried], cwd=clone, env=env, check=True, capture_output=True)
            _first_reply(clone, env)
            took = time.monotonic() - began
        finally:
            os.killpg(server.process.pid, 15)
            server.process.wait(within)
    sys.stdout.write(f"Served after {installed:.0f} s, first reply after {took:.0f} s; silent for {server.longest_silence:.0f} s at most.\n")
    return 0 if took <= within and server.longest_silence <= SILENCE else 1


def _first_reply(clone: Path, env: dict[str, str]) -> None:
    """Write to Ann with the installed command, and wait for her answer."""

    def ran(*arguments: str) -> str:
        return subprocess.run([".venv/bin/mcp-messenger", *arguments], cwd=clone, env=env, check=False, capture_output=True, text=True).stdout

    while " ready " not in (listed := ran("ps")):
        pass
    account = listed.splitlines()[1].split()[0]
    ran("send", account, "ann", "Hello Ann, can you hear me?")
    while "Ann Lee:" not in ran("read", account, "ann"):
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else WITHIN))

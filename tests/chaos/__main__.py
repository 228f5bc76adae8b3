"""Breaks everything around the managers for as long as is wanted, and counts: python -m tests.chaos --seconds 3600 --seed 7"""

import argparse
import sys
import tempfile
from pathlib import Path

import anyio

from tests.chaos.driver import besieged


def main() -> int:
    """Return 0 where nothing was lost; the reason is raised else, and the folder with the logs stays."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", type=Path, help="write the figures there, as Markdown")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mcp-messenger-chaos-"))
    print(f"seed {given.seed}, logs in {folder}", flush=True)

    async def run() -> str:
        found = await besieged(folder, seconds=given.seconds, seed=given.seed, say=lambda words: print(words, flush=True))
        return found.table()

    table = anyio.run(run)
    print(table)
    if given.table is not None:
        given.table.write_text(f"{table}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

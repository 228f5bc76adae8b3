"""Measures what the product promises, side by side with bare forms of the same work: python -m tests.benchmarks [--beside COMMIT] [names].

With --beside, each benchmark also runs in a checkout of that commit, in turn with this one; a ratio of the two is shown.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from tests.benchmarks.figures import Figure, table
from tests.benchmarks.measure import BENCHMARKS

HERE = Path(__file__).parents[2]
ROUNDS_BESIDE = 2
# Also run in the other checkout, whose own modules it imports.
PROGRAM = """
import dataclasses, json, sys
from tests.benchmarks.measure import measure
print(json.dumps([dataclasses.asdict(figure) for figure in measure(sys.argv[1])]))
"""


def run(name: str, checkout: Path) -> list[Figure]:
    """Run one benchmark in a process of its own, so that none inherits another's memory."""
    # With bytecode caching off, every start would compile the program again.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    output = subprocess.run([sys.executable, "-c", PROGRAM, name], cwd=checkout, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return TypeAdapter(list[Figure]).validate_json(output.stdout.splitlines()[-1])


def middle(runs: Sequence[Sequence[Figure]]) -> list[Figure]:
    """Return the figures of the first run with the median values of all."""
    found = list[Figure]()
    for figure in runs[0]:
        same = [other for run in runs for other in run if other.what == figure.what]
        bare = [other.bare for other in same if other.bare is not None]
        found.append(replace(figure, value=statistics.median(other.value for other in same), bare=statistics.median(bare) if bare else None))
    return found


def beside(name: str, other: Path) -> list[Figure]:
    """Run one benchmark here and there in turn; figures that both have carry the other's value."""
    here, there = list[list[Figure]](), list[list[Figure]]()
    for _ in range(ROUNDS_BESIDE):
        here.append(run(name, HERE))
        with contextlib.suppress(subprocess.CalledProcessError):
            there.append(run(name, other))
    before = {figure.what: figure.value for figure in middle(there)} if there else {}
    return [replace(figure, before=before.get(figure.what)) for figure in middle(here)]


@contextmanager
def checkout(commit: str) -> Generator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", path, commit], cwd=HERE, check=True)
        try:
            yield path
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", path], cwd=HERE, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHMARKS)}; all without any")
    parser.add_argument("--beside", metavar="COMMIT", help="also run them in a checkout of this commit")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(BENCHMARKS)}.")
    figures, failed = list[Figure](), list[str]()
    with checkout(arguments.beside) if arguments.beside else contextlib.nullcontext() as other:
        for name in arguments.names or BENCHMARKS:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                found = beside(name, other) if other else run(name, HERE)
            except subprocess.CalledProcessError:
                # Its traceback is on stderr; the figures of the others are not lost for it.
                failed.append(name)
                continue
            figures += found
            print(table(found), flush=True)
    if failed:
        print(f"Failed: {', '.join(failed)}.", file=sys.stderr)
    sys.exit(bool(failed) or any(figure.verdict == "NOT MET" for figure in figures))


if __name__ == "__main__":
    main()

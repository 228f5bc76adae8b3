"""Measures what the product promises, side by side with bare forms of the same work: python -m tests.benchmarks [names]."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

from tests.benchmarks.figures import Figure, table
from tests.benchmarks.measure import BENCHMARKS, measure


def main() -> None:
    unknown = set(sys.argv[1:]) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(BENCHMARKS)}.")
    # With bytecode caching off, every start would compile the program anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    figures: list[Figure] = []
    # A process of its own for each, so that none inherits another's memory.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        for name in sys.argv[1:] or BENCHMARKS:
            print(f"{name} ...", file=sys.stderr, flush=True)
            figures += processes.submit(measure, name).result()
    print(table(figures))
    sys.exit(any(figure.verdict == "NOT MET" for figure in figures))


if __name__ == "__main__":
    main()

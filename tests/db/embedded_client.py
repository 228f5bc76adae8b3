"""A program that uses the embedded server of the folder in its argument: says so, and gives it up when its stdin ends."""

import sys
from pathlib import Path

from db.embedded import open_embedded


def main() -> None:
    server = open_embedded(Path(sys.argv[1]))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.close()
    sys.stdout.write("stopped\n")


if __name__ == "__main__":
    main()

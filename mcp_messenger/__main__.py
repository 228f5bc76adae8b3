"""The command: mcp-messenger, or python -m mcp_messenger."""

import gc
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("db", "providers")


def main() -> None:
    # What is imported stays: to look for garbage meanwhile takes a tenth of the start.
    gc.disable()
    check_packages()
    from mcp_messenger.cli import run

    sys.exit(run(sys.argv[1:]))


def check_packages() -> None:
    """`db` and `providers` are common names: a folder or file of that name elsewhere on the path must not be run in place of ours."""
    home = Path(__file__).resolve().parent.parent
    for package in PACKAGES:
        found = find_spec(package)
        origin = Path(found.origin).resolve() if found is not None and found.origin else None
        if origin != home / package / "__init__.py":
            sys.exit(
                f"mcp-messenger: the package '{package}' would come from {origin}, not from {home}.\n"
                "Start it from another folder, or with the environment variable PYTHONSAFEPATH=1."
            )


if __name__ == "__main__":
    main()

"""As whom PostgreSQL runs: it refuses root."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.errors import EmbeddedFailed

TIMEOUT = 120.0
"""Seconds, for one program."""

ENVIRONMENT = frozenset(
    [
        "PATH",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "TMPDIR",
        "TEMP",
        "TMP",
        "SYSTEMROOT",
        "SYSTEMDRIVE",
        "WINDIR",
        "COMSPEC",
        "USERNAME",
        "USERPROFILE",
        "APPDATA",
        "LOCALAPPDATA",
    ]
)
"""What the programs see of our environment: no token of ours, and no PGPORT that was meant for another server."""


@dataclass(frozen=True)
class Account:
    """As whom PostgreSQL runs: it refuses root."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None
    """Another account than ours, which has to own what PostgreSQL writes."""

    @property
    def owner(self) -> int:
        """The kernel's id of the user that owns what PostgreSQL writes; 0 where there are no such ids."""
        if sys.platform == "win32":
            return 0
        return os.geteuid() if self.uid is None else self.uid

    def give(self, path: Path) -> None:
        """Make the account the owner of a file or folder."""
        if sys.platform != "win32" and self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def run(self, *command: str, log: Path, timeout: float = TIMEOUT) -> None:
        """Run to the end, with all output in `log`: our own stdout may be a protocol. Raises EmbeddedFailed with the reason from there."""
        identity: dict[str, Any] = {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}
        environment = {name: value for name, value in os.environ.items() if name.upper() in ENVIRONMENT} | {"LC_ALL": "C"}
        window = subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0
        with log.open("ab") as output:
            self.give(log)
            written = output.tell()
            try:
                subprocess.run(  # noqa: S603  the commands are built here
                    [*self.prefix, *command],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    env=environment, cwd=log.parent, check=True, timeout=timeout, creationflags=window, **identity,
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as error:
                raise EmbeddedFailed(f"{Path(command[0]).name} failed: {_complaint(log, written) or _words(error)} (see {log})") from error


def _words(error: OSError | subprocess.SubprocessError) -> str:
    """Without the command line, which says nothing to who reads it."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ended with {error.returncode}"
    return f"it did not end within {TIMEOUT:g} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)


def _complaint(log: Path, written: int) -> str:
    lines = log.read_bytes()[written:].decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if "FATAL" in line or "error:" in line), "")


def account_for(data: Path) -> Account:
    """Return the account to run PostgreSQL as: ours, or for root the nearest that PostgreSQL takes. Raises EmbeddedFailed."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return Account()
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(uid=owner.st_uid, gid=owner.st_gid)
    if unshare := shutil.which("unshare"):
        # In its own user namespace root is nobody, and its files are still root's.
        prefix = (unshare, "-U")
        if subprocess.run([*prefix, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=TIMEOUT).returncode == 0:  # noqa: S603
            return Account(prefix)
    if not data.exists() and (postgres := _postgres_account()) is not None:
        return postgres
    raise EmbeddedFailed(
        "PostgreSQL does not run as root, and this machine lets root not step down.",
        hint="Start mcp-messenger as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own.",
    )


def _postgres_account() -> Account | None:
    import pwd

    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        return None
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)

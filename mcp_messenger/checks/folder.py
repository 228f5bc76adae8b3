"""The data folder, and the key of the secrets."""

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from db.diagnosis import Sealed
from mcp_messenger.checks.finding import Finding, failed, ok, problem, warning
from mcp_messenger.config import PREFIX, Config
from mcp_messenger.errors import VaultError
from mcp_messenger.security.vault import KEY_FILE, KEY_VARIABLE, Vault

FOLDER, SECRETS = "data folder", "secret key"
LEAST_FREE = 500 * 2**20


def check_folder(config: Config) -> list[Finding]:
    folder = config.data_dir
    if not folder.exists():
        return [_missing(folder)]
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return [
            problem(
                FOLDER, f"{folder} cannot be written by this user.", f"Give it to this user: chown -R {os.environ.get('USER', 'USER')} '{folder}'"
            )
        ]
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        return [problem(FOLDER, f"Only {free // 2**20} MB are free at {folder}.", "Make room: without it nothing can be stored.")]
    if os.name == "posix" and stat.S_IMODE(folder.stat().st_mode) & 0o022:
        return [problem(FOLDER, f"Other users may change {folder}.", f"Run: chmod 700 '{folder}'")]
    if os.name == "posix" and stat.S_IMODE(folder.stat().st_mode) & 0o044:
        return [warning(FOLDER, f"Other users may look into {folder}.", f"Run: chmod go-rwx '{folder}' (go-rw where PostgreSQL has its own user)")]
    return [ok(FOLDER, f"{folder}, {free // 2**30} GB free.")]


def _missing(folder: Path) -> Finding:
    """Return whether the first start can make the folder: in its nearest parent that is there."""
    parent = next((one for one in folder.parents if one.exists()), folder.parent)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        words = "is no folder" if parent.exists() and not parent.is_dir() else "cannot be written by this user"
        return problem(FOLDER, f"{folder} is not there, and cannot be made: {parent} {words}.", f"Name another folder with {PREFIX}DATA_DIR.")
    return ok(FOLDER, f"{folder} is not there yet; the first start makes it.")


def check_key(config: Config, sealed: Sequence[Sealed]) -> list[Finding]:
    """`sealed` are the stored secrets. Makes no key where there is none."""
    path = config.data_dir / KEY_FILE
    from_file = config.secret_key is None or not config.secret_key.get_secret_value().strip()
    if from_file and not path.exists():
        if sealed:
            detail = f"{path} is missing, and {len(sealed)} stored secrets and API keys cannot be read without it."
            return [problem(SECRETS, detail, f"Restore it from a backup, or put the key into {KEY_VARIABLE}.")]
        return [ok(SECRETS, "None yet; the first secret makes one.")]
    try:
        vault = Vault.open(config.data_dir, config.secret_key)
    except VaultError as error:
        return [failed(SECRETS, error)]
    source = str(path) if from_file else KEY_VARIABLE
    return [_opening(vault, source, sealed)]


def _opening(vault: Vault, source: str, sealed: Sequence[Sealed]) -> Finding:
    failures = [error for secret in sealed if (error := _failure(vault, secret)) is not None]
    if failures:
        return problem(
            SECRETS, f"{len(failures)} of {len(sealed)} stored secrets do not open with {source}: {failures[0].detail}", failures[0].hint or ""
        )
    stale = sum(vault.is_stale(secret.blob) for secret in sealed)
    if stale:
        return warning(SECRETS, f"{stale} of {len(sealed)} stored secrets are under a former key.", "Keep that key, and run: mcp-messenger reencrypt")
    return ok(SECRETS, f"{source} opens all {len(sealed)} stored secrets." if sealed else f"{source} can be used.")


def _failure(vault: Vault, secret: Sealed) -> VaultError | None:
    try:
        vault.unseal(secret.blob, row=str(secret.instance_id), field=secret.field)
    except VaultError as error:
        return error
    return None

"""The secret key of a process: read when it is first needed, and again when its file has changed."""

import logging
from collections.abc import Set as AbstractSet
from pathlib import Path

from pydantic import SecretStr

from mcp_messenger.errors import VaultError
from mcp_messenger.security.vault import BACK, KEY_FILE, Vault, make_key_file

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class Keyring:
    """Gives the vault of this process. No key is made where secrets are stored under another one.

    A process that has read the key goes on with it when the file vanishes, or when another key takes its place.
    """

    def __init__(self, data_dir: Path, env_value: SecretStr | None) -> None:
        self._data_dir = data_dir
        self._path = data_dir / KEY_FILE
        self._env_value = env_value if env_value is not None and env_value.get_secret_value().strip() else None
        self._vault: Vault | None = None
        self._stamp: Stamp | None = None
        self._strange: Stamp | None = None
        """Of a file that does not hold the key which this process works with."""
        self._may_make = False
        self._is_checked = False
        self._unreadable = 0

    def __call__(self) -> Vault:
        """Return the vault. Raises VaultError where there is no key, or none that can be used."""
        if self._env_value is not None:
            self._vault = self._vault or Vault.open(self._data_dir, self._env_value)
            return self._vault
        stamp = self._stamp_now()
        if self._vault is not None and stamp in {None, self._stamp, self._strange}:
            return self._vault
        if stamp is None and self._may_make:
            make_key_file(self._path)
            stamp = self._stamp_now()
        try:
            found = Vault.existing(self._path)
        except VaultError:
            if self._vault is None:
                raise
            self._strange = stamp
            return self._vault
        if self._vault is not None and not found.has_key_of(self._vault):
            log.error("%s holds another key now; this process goes on with the one that it has read", self._path)
            self._strange = stamp
            return self._vault
        self._vault, self._stamp, self._strange = found, stamp, None
        return found

    def check(self, stored: AbstractSet[bytes], *, has_digests: bool) -> None:
        """Take note of the ids of the keys that stored secrets are under, and make the first key where nothing is stored under any.

        `has_digests`: there are API keys or tokens, which are known by the key too.
        """
        self._is_checked = True
        try:
            if self._env_value is None and self._vault is None and self._stamp_now() is None:
                self._may_make = not stored and not has_digests
            self._unreadable = len(stored - self().key_ids)
        except VaultError as error:
            log.error("%s %s", error.detail, error.hint or "")  # noqa: TRY400  a person is to act on it, and no trace helps
            return
        if self._unreadable:
            log.error("stored secrets are under %d keys that are not here: %s", self._unreadable, BACK.format(folder=self._data_dir))

    @property
    def trouble(self) -> str | None:
        """Return what is wrong with the key, and what to do; None where all is well, or the store was not looked at yet."""
        if not self._is_checked:
            return None
        try:
            self()
        except VaultError as error:
            return f"{error.detail} {error.hint or ''}".strip()
        if self._env_value is None:
            stamp = self._stamp_now()
            if stamp is None:
                return f"{self._path} is missing; this process still has the key, and loses it when it ends. Put the file back from a backup."
            if stamp == self._strange:
                return f"{self._path} does not hold the key that this process works with. Put that one back from a backup."
        if self._unreadable:
            return f"Stored secrets are under a key that is not here. {BACK.format(folder=self._data_dir)}"
        return None

    @property
    def is_lost(self) -> bool:
        """Return whether there is no key to work with."""
        if not self._is_checked:
            return False
        try:
            self()
        except VaultError:
            return True
        return False

    def _stamp_now(self) -> Stamp | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

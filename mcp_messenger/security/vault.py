"""Secrets at rest: sealed with AES-GCM, bound to the row and field they stand in; API keys known only by a keyed hash.

A sealed value is: one byte of format, 8 bytes of key id, 12 bytes of nonce, ciphertext with its tag.
The cryptography package is imported when the first secret is touched, not before.
"""

import base64
import binascii
import hmac
import os
import secrets
import stat
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import SecretStr

from mcp_messenger.errors import VaultError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_VARIABLE = "MCP_MESSENGER_SECRET_KEY"
KEY_FILE = "secret.key"
BACK = f"Restore {KEY_FILE} from a backup into {{folder}}, or put the key into {KEY_VARIABLE}."

_KEY_BYTES = 32
_FORMAT = b"\x01"
_ID_BYTES = 8
_NONCE_BYTES = 12
_HEADER_BYTES = len(_FORMAT) + _ID_BYTES
_SHOWN = 4
_MASKABLE = 20
"""Showing 8 characters of anything shorter would give too much of it away."""


def new_api_key(prefix: str = "mm_") -> str:
    """A new key of 256 random bits, safe in URLs and headers."""
    return prefix + secrets.token_urlsafe(32)


def masked(secret: str) -> str:
    """`1234…wxyz`: enough to recognise a secret by; one shorter than 20 characters is hidden entirely."""
    return f"{secret[:_SHOWN]}…{secret[-_SHOWN:]}" if len(secret) >= _MASKABLE else "…"


class Vault:
    """Seals with the first of its keys, unseals with all of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: 32 bytes each, the current one first."""
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise ValueError(f"a vault needs keys of {_KEY_BYTES} bytes")
        self._master = tuple(dict.fromkeys(keys))
        self._signing_keys: dict[tuple[bytes, str], bytes] = {}

    @classmethod
    def open(cls, data_dir: Path, env_value: SecretStr | None) -> "Vault":
        """With the keys of MCP_MESSENGER_SECRET_KEY, else of `secret.key` in `data_dir`, which is made if it is not there.

        Raises VaultError when a key has another form, others may read the file, or it cannot be made.
        """
        if env_value is not None and env_value.get_secret_value().strip():
            return cls(_parse_keys(env_value.get_secret_value(), KEY_VARIABLE))
        path = data_dir / KEY_FILE
        if not path.exists():
            make_key_file(path)
        return cls.existing(path)

    @classmethod
    def existing(cls, path: Path) -> "Vault":
        """With the keys of a file. Raises VaultError where there is none, where others may read it, or where a key has another form."""
        text = _read_key_file(path)
        if text is None:
            raise VaultError(
                f"{path} is missing, and the stored secrets, API keys and tokens cannot be read without it.", hint=BACK.format(folder=path.parent)
            )
        return cls(_parse_keys(text, str(path)))

    def has_key_of(self, other: "Vault") -> bool:
        """Return whether the current key of another vault is one of this one's."""
        return other._master[0] in self._master  # noqa: SLF001 - the same class

    @cached_property
    def key_ids(self) -> frozenset[bytes]:
        """The ids of the keys, as they are in what was sealed with them."""
        return frozenset(_derive(key, b"id", _ID_BYTES) for key in self._master)

    @cached_property
    def current_key_id(self) -> bytes:
        return _derive(self._master[0], b"id", _ID_BYTES)

    def seal(self, value: str, *, row: str, field: str) -> bytes:
        """`value`, encrypted, readable only as this field of this row (`row` names its table too: `instance/<id>`)."""
        key_id, cipher = next(iter(self._ciphers.items()))
        header = _FORMAT + key_id
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return header + nonce + cipher.encrypt(nonce, value.encode(), _bound_to(header, row, field))

    def unseal(self, blob: bytes, *, row: str, field: str) -> str:
        """The value that was sealed for this field of this row. Raises VaultError."""
        from cryptography.exceptions import InvalidTag

        header, nonce, sealed = blob[:_HEADER_BYTES], blob[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES], blob[_HEADER_BYTES + _NONCE_BYTES :]
        if header[:1] != _FORMAT or not sealed:
            raise VaultError(f"The stored secret {field!r} of {row} is damaged.", hint="Set the secret again.")
        cipher = self._ciphers.get(header[1:])
        if cipher is None:
            raise VaultError(
                f"The stored secret {field!r} of {row} was sealed with another key.",
                hint=f"Put the former key (perhaps that of {KEY_FILE}) into {KEY_VARIABLE}, after the present one and a comma, or set it again.",
            )
        try:
            return cipher.decrypt(nonce, sealed, _bound_to(header, row, field)).decode()
        except InvalidTag:
            raise VaultError(
                f"The stored secret {field!r} of {row} was altered, or belongs to another row or field.", hint="Set the secret again."
            ) from None

    def relay_key(self, instance_id: UUID) -> SecretStr:
        """Return the key by which the relay of an instance knows its manager: always the same under the vault's current key, stored nowhere."""
        derived = _derive(self._master[0], b"relay " + instance_id.bytes, _KEY_BYTES)
        return SecretStr("mr_" + base64.urlsafe_b64encode(derived).decode().rstrip("="))

    def sign(self, message: bytes, *, purpose: str) -> bytes:
        """Return what proves that a holder of the current key wrote a message: 8 bytes of key id, and an HMAC."""
        return self.current_key_id + hmac.digest(self._signing_key(self._master[0], purpose), message, "sha256")

    def is_signed(self, message: bytes, signature: bytes, *, purpose: str) -> bool | None:
        """Return whether a message has this signature; None: it was signed with a key that is not here."""
        for key in self._master:
            if _derive(key, b"id", _ID_BYTES) == signature[:_ID_BYTES]:
                return hmac.compare_digest(hmac.digest(self._signing_key(key, purpose), message, "sha256"), signature[_ID_BYTES:])
        return None

    def _signing_key(self, key: bytes, purpose: str) -> bytes:
        return self._signing_keys.get((key, purpose)) or self._signing_keys.setdefault((key, purpose), _derive(key, f"sign {purpose}".encode(), 32))

    def is_stale(self, blob: bytes) -> bool:
        """Return whether a value is sealed with a former key and should be sealed again before that key is dropped."""
        return blob[len(_FORMAT) : _HEADER_BYTES] != self.current_key_id

    def digest(self, api_key: str) -> bytes:
        """What to store of an API key: 32 bytes that tell nothing without the vault's current key."""
        return self.digests(api_key)[0]

    def digests(self, api_key: str) -> tuple[bytes, ...]:
        """What an API key may be stored as, under the current key and each former one: look up by any of these."""
        return tuple(hmac.digest(key, api_key.encode(), "sha256") for key in self._digest_keys)

    @cached_property
    def _ciphers(self) -> "dict[bytes, AESGCM]":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return {_derive(key, b"id", _ID_BYTES): AESGCM(_derive(key, b"seal", 32)) for key in self._master}

    @cached_property
    def _digest_keys(self) -> tuple[bytes, ...]:
        return tuple(_derive(key, b"digest", 32) for key in self._master)


def _derive(key: bytes, purpose: bytes, length: int) -> bytes:
    """HKDF-Expand of RFC 5869 with SHA-256, for at most one block of 32 bytes."""
    return hmac.digest(key, b"mcp-messenger " + purpose + b"\x01", "sha256")[:length]


def _bound_to(header: bytes, row: str, field: str) -> bytes:
    """The length tells ("a/b", "c") from ("a", "b/c")."""
    return header + f"{len(row)}:{row}/{field}".encode()


def _parse_keys(text: str, source: str) -> list[bytes]:
    return [_parse_key(part.strip(), source) for part in text.split(",")]


def _parse_key(text: str, source: str) -> bytes:
    try:
        key = bytes.fromhex(text) if len(text) == 2 * _KEY_BYTES else base64.b64decode(_standard_base64(text), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    # No random key repeats itself so much, but "0000…" from an example does.
    if len(key) != _KEY_BYTES or len(set(key)) < 8:
        raise VaultError(
            f"A key in {source} is not 32 random bytes in base64 or hexadecimal.",
            hint='Make one with: python -c "import secrets; print(secrets.token_hex(32))"',
        )
    return key


def _standard_base64(text: str) -> str:
    text = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    return text + "=" * (-len(text) % 4)


def _read_key_file(path: Path) -> str | None:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise VaultError(f"Other users may read {path}.", hint=f"Run: chmod 600 '{path}'")
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise VaultError(f"{path} cannot be read: {error.strerror}.", hint=f"Give the server's user access, or set {KEY_VARIABLE}.") from error


def make_key_file(path: Path) -> None:
    """Make a key where there is none. Raises VaultError.

    Written whole under another name first: of several processes that start at once, one gives the key and none reads half of it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = _draft_of(path, secrets.token_hex(_KEY_BYTES))
        try:
            _publish(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise VaultError(f"{path} cannot be made: {error.strerror}.", hint=f"Choose another data folder, or set {KEY_VARIABLE}.") from error


def add_key(path: Path) -> None:
    """Put a new key before those of the file. Servers that run read it before they encrypt the next secret. Raises VaultError."""
    _replace_keys(path, [secrets.token_hex(_KEY_BYTES), *_texts(path)])


def drop_former_keys(path: Path) -> None:
    """Leave only the current key in the file. Raises VaultError."""
    _replace_keys(path, _texts(path)[:1])


def _texts(path: Path) -> list[str]:
    text = _read_key_file(path) or ""
    _parse_keys(text, str(path))
    return [part.strip() for part in text.split(",")]


def _replace_keys(path: Path, keys: Sequence[str]) -> None:
    try:
        draft = _draft_of(path, ",".join(keys))
        try:
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise VaultError(f"{path} cannot be written: {error.strerror}.", hint="Run this as the server's user, with room on the disk.") from error


def _draft_of(path: Path, text: str) -> Path:
    """Return a file beside the key's, written and on the disk."""
    draft = path.with_name(f".{KEY_FILE}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    return draft


def _publish(draft: Path, path: Path) -> None:
    """Gives the draft its name, unless another process was first."""
    try:
        if os.name == "nt":
            draft.rename(path)  # refuses an existing target there
        else:
            path.hardlink_to(draft)
    except FileExistsError:
        pass

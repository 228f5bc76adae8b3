import os
import stat
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mcp_messenger.errors import VaultError
from mcp_messenger.security.vault import Vault, masked, new_api_key

FORMER = bytes(range(32))
CURRENT = bytes(range(32, 64))
POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has no permission bits")


@given(st.text(), st.text(), st.text())
def test_what_was_sealed_comes_back(value: str, row: str, field: str) -> None:
    vault = Vault([CURRENT])
    assert vault.unseal(vault.seal(value, row=row, field=field), row=row, field=field) == value


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    vault = Vault([CURRENT])
    blob = bytearray(vault.seal("a secret", row="instance/1", field="token"))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(VaultError):
        vault.unseal(bytes(blob), row="instance/1", field="token")


@pytest.mark.parametrize(("row", "field"), [("instance/2", "token"), ("instance/1", "app_secret"), ("instance", "1/token")])
def test_a_secret_moved_elsewhere_is_refused(row: str, field: str) -> None:
    vault = Vault([CURRENT])
    blob = vault.seal("a secret", row="instance/1", field="token")
    with pytest.raises(VaultError, match="belongs to another row or field"):
        vault.unseal(blob, row=row, field=field)


@pytest.mark.parametrize("length", range(21))
def test_a_cut_off_secret_is_refused(length: int) -> None:
    vault = Vault([CURRENT])
    with pytest.raises(VaultError):
        vault.unseal(vault.seal("a secret", row="r", field="f")[:length], row="r", field="f")


def test_the_same_value_never_looks_the_same() -> None:
    vault = Vault([CURRENT])
    assert vault.seal("a secret", row="r", field="f") != vault.seal("a secret", row="r", field="f")


def test_a_former_key_still_opens_and_tells_what_to_seal_anew() -> None:
    blob = Vault([FORMER]).seal("a secret", row="r", field="f")
    both = Vault([CURRENT, FORMER])
    assert both.unseal(blob, row="r", field="f") == "a secret"
    assert both.is_stale(blob)
    renewed = both.seal("a secret", row="r", field="f")
    assert not both.is_stale(renewed)
    assert Vault([CURRENT]).unseal(renewed, row="r", field="f") == "a secret"


def test_without_the_former_key_the_error_tells_where_to_put_it() -> None:
    blob = Vault([FORMER]).seal("a secret", row="r", field="f")
    with pytest.raises(VaultError, match="another key") as caught:
        Vault([CURRENT]).unseal(blob, row="r", field="f")
    assert caught.value.hint is not None
    assert "MCP_MESSENGER_SECRET_KEY" in caught.value.hint


def test_digests_are_keyed_and_known_under_former_keys() -> None:
    api_key = new_api_key()
    before, after = Vault([FORMER]), Vault([CURRENT, FORMER])
    assert before.digest(api_key) != Vault([CURRENT]).digest(api_key)
    assert before.digest(api_key) in after.digests(api_key)
    assert after.digest(api_key) == after.digests(api_key)[0] != before.digest(api_key)
    assert len(before.digest(api_key)) == 32
    assert before.digest(new_api_key()) != before.digest(api_key)


def test_api_keys_are_long_random_and_url_safe() -> None:
    keys = {new_api_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("mm_") and len(key) == 46 and key.replace("-", "").replace("_", "").isalnum() for key in keys)


@given(st.text(max_size=60))
def test_masks_show_at_most_eight_characters(secret: str) -> None:
    mask = masked(secret)
    assert mask == "…" if len(secret) < 20 else mask == f"{secret[:4]}…{secret[-4:]}"


@pytest.mark.parametrize("form", [CURRENT.hex(), CURRENT.hex().upper(), b64encode(CURRENT).decode(), urlsafe_b64encode(CURRENT).decode().rstrip("=")])
def test_keys_from_the_environment(tmp_path: Path, form: str) -> None:
    vault = Vault.open(tmp_path, SecretStr(f" {form} , {FORMER.hex()}\n"))
    assert vault.digest("x") == Vault([CURRENT]).digest("x")
    assert vault.digests("x") == Vault([CURRENT, FORMER]).digests("x")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["changeme", "00" * 32, CURRENT.hex()[:-2], f"{CURRENT.hex()},", "ключ" * 16, b64encode(CURRENT + b"x").decode()])
def test_a_key_of_another_form_is_refused_without_repeating_it(tmp_path: Path, form: str) -> None:
    with pytest.raises(VaultError, match="MCP_MESSENGER_SECRET_KEY is not 32 random bytes") as caught:
        Vault.open(tmp_path, SecretStr(form))
    assert form not in str(caught.value)
    assert "secrets.token_hex" in str(caught.value.hint)


@pytest.mark.parametrize("unset", [None, SecretStr(""), SecretStr("  ")])
def test_the_key_file_is_made_once_and_kept(tmp_path: Path, unset: SecretStr | None) -> None:
    folder = tmp_path / "new" / "data"
    blob = Vault.open(folder, unset).seal("a secret", row="r", field="f")
    assert Vault.open(folder, None).unseal(blob, row="r", field="f") == "a secret"
    assert [path.name for path in folder.iterdir()] == ["secret.key"]


@POSIX
def test_the_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    Vault.open(tmp_path / "data", None)
    assert stat.S_IMODE((tmp_path / "data" / "secret.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


@POSIX
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_file_open_to_others_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    Vault.open(tmp_path, None)
    path = tmp_path / "secret.key"
    path.chmod(mode)
    with pytest.raises(VaultError) as caught:
        Vault.open(tmp_path, None)
    assert caught.value.hint == f"Run: chmod 600 '{path}'"


def test_a_damaged_key_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.touch(mode=0o600)
    with pytest.raises(VaultError, match=r"secret\.key is not 32 random bytes"):
        Vault.open(tmp_path, None)
    assert path.read_bytes() == b""


def test_a_data_folder_that_cannot_be_made_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VaultError) as caught:
        Vault.open(tmp_path / "file" / "data", None)
    assert "MCP_MESSENGER_SECRET_KEY" in str(caught.value.hint)


RACER = """
import sys
from pathlib import Path
from mcp_messenger.security.vault import Vault
Vault([bytes(32)]).digest("warm")
print("ready", flush=True)
sys.stdin.readline()
print(Vault.open(Path(sys.argv[1]), None).digest("x").hex())
"""


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = {racer.communicate(timeout=30)[0] for racer in racers}
    assert answers == {Vault.open(tmp_path, None).digest("x").hex() + "\n"}
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_neither_the_vault_nor_its_errors_show_a_key(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path, SecretStr(CURRENT.hex()))
    assert CURRENT.hex() not in repr(vault)
    with pytest.raises(VaultError) as caught:
        vault.unseal(b"", row="instance/1", field="token")
    assert CURRENT.hex() not in f"{caught.value!r} {caught.value.hint}"


def test_importing_the_vault_is_cheap() -> None:
    subprocess.run([sys.executable, "-c", "import sys, mcp_messenger.security.vault; sys.exit('cryptography' in sys.modules)"], check=True)


def test_each_relay_has_its_own_key_which_changes_with_the_first_key_alone() -> None:
    one, other = uuid4(), uuid4()
    key = Vault([CURRENT]).relay_key(one).get_secret_value()
    assert key == Vault([CURRENT, FORMER]).relay_key(one).get_secret_value()
    assert len({key, Vault([CURRENT]).relay_key(other).get_secret_value(), Vault([FORMER, CURRENT]).relay_key(one).get_secret_value()}) == 3
    assert len(key) > 40

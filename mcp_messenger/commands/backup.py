"""Save what is stored into a file, and put it back."""

from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from mcp_messenger.backup import restoring
from mcp_messenger.backup.archive import Manifest, verify
from mcp_messenger.backup.writing import write_backup
from mcp_messenger.commands.database import database_url
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from mcp_messenger.errors import BackupFailed
from mcp_messenger.security.vault import KEY_FILE, KEY_VARIABLE

WITHOUT_KEY = f"""The secret key is not in it: keep {KEY_VARIABLE}, or {KEY_FILE} of the data folder, in another safe place.
Without it no token and no API key in the backup can be used."""
WITH_KEY = "The secret key is in it: whoever can read this file can act as every account."


async def backup(config: Config, file: Path, with_key: bool, compress: bool, force: bool) -> None:
    """Write a backup and say what is in it. Raises BackupFailed and StoreUnavailable."""
    key = _key(config) if with_key else None
    async with database_url(config) as url:
        manifest = await anyio.to_thread.run_sync(partial(write_backup, file, url, config.data_dir, key=key, compress=compress, force=force))
    size = (await anyio.Path(file).stat()).st_size
    say(f"{file} is written and checked: {_contents(manifest)}, {size / 1e6:.1f} MB.")
    say(WITH_KEY if with_key else WITHOUT_KEY)
    for warning in manifest.warnings:
        say(f"Note: {warning}")


def _key(config: Config) -> str:
    """Raises BackupFailed where there is none."""
    if config.secret_key is not None:
        return config.secret_key.get_secret_value() + "\n"
    try:
        return (config.data_dir / KEY_FILE).read_text(encoding="ascii")
    except OSError as error:
        raise BackupFailed(f"There is no key in {config.data_dir / KEY_FILE}.", hint=f"Set {KEY_VARIABLE}, or leave --with-key out.") from error


async def check(file: Path) -> None:
    """Read a backup whole and say what is in it. Raises BackupFailed."""
    manifest = await anyio.to_thread.run_sync(verify, file)
    say(f"{file} is whole: {_contents(manifest)}, made on {manifest.made_at:%Y-%m-%d %H:%M} UTC by version {manifest.version}.")
    say("The secret key is in it." if manifest.has_key else "The secret key is not in it.")


async def restore(config: Config, file: Path, take_over: bool, force: bool) -> None:
    """Put a backup back and say what to do next. Raises BackupFailed and StoreUnavailable."""
    async with database_url(config) as url:
        restored = await restoring.restore(file, url, config.data_dir, take_over=take_over, force=force)
    say(f"Restored: {_contents(restored.manifest)}.")
    for folder in restored.set_aside:
        say(f"The former {folder.name.partition('.before-restore')[0]} are in {folder}; remove them when all is well.")
    if config.secret_key is None and not (config.data_dir / KEY_FILE).exists():
        say(f"The secret key is missing. Put the original's into {config.data_dir / KEY_FILE} or {KEY_VARIABLE} before you start the server.")
    if take_over:
        say("Instances start with the server. Never start the original again: two at once answer twice, or lose a login.")
    else:
        say("All instances are stopped, for the original may still run. Start each with start_instance when it does not.")
    say("Sends that were waiting are marked unknown, and deliveries that were waiting are dead letters: look at them, and replay what is missing.")


def _contents(manifest: Manifest) -> str:
    rows = manifest.rows
    return f"{rows['message_instances']} instances, {rows['messages']} messages, {rows['events']} events, {manifest.files} files"

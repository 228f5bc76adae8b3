"""Save what is stored into a file, and put it back."""

import glob
import json
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from mcp_messenger.backup import restoring
from mcp_messenger.backup.archive import Manifest, verify
from mcp_messenger.backup.volumes import VolumesOf
from mcp_messenger.backup.writing import PARTIAL, write_backup
from mcp_messenger.commands.database import database_url
from mcp_messenger.commands.terminal import say, working
from mcp_messenger.config import Config
from mcp_messenger.errors import BackupFailed, EngineAway
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.volumes import EngineVolumes
from mcp_messenger.security.vault import KEY_FILE, KEY_VARIABLE

WITHOUT_KEY = f"""The secret key is not in it: keep {KEY_VARIABLE}, or {KEY_FILE} of the data folder, in another safe place.
Without it no token and no API key in the backup can be used."""
WITH_KEY = "The secret key is in it: whoever can read this file can act as every account."


async def backup(config: Config, file: Path, with_key: bool, compress: bool, force: bool, as_json: bool) -> None:
    """Write a backup and say what is in it. Raises BackupFailed and StoreUnavailable."""
    key = _key(config) if with_key else None
    async with database_url(config) as url:
        volumes_of = None if config.containers.enabled is False else _volumes_of(config)
        write = partial(write_backup, file, url, config.data_dir, key=key, volumes_of=volumes_of, compress=compress, force=force)
        with working(f"Writing {file}", lambda: _written(file)):
            manifest = await anyio.to_thread.run_sync(write)
    size = (await anyio.Path(file).stat()).st_size
    if as_json:
        say(_json(manifest, file=str(file), size=size))
        return
    say(f"{file} is written and checked: {_contents(manifest)}, {size / 1e6:.1f} MB.")
    say(WITH_KEY if with_key else WITHOUT_KEY)
    for warning in manifest.warnings:
        say(f"Note: {warning}")


def _written(file: Path) -> str:
    """Return how much of a backup is written so far."""
    parts = file.parent.glob(f"{glob.escape(file.name)}.*{PARTIAL}")
    with suppress(FileNotFoundError):
        return f"{sum(part.stat().st_size for part in parts) / 1e6:.1f} MB"
    return ""


def _volumes_of(config: Config) -> VolumesOf:
    return partial(EngineVolumes, Engine(config.containers.engine))


def _json(manifest: Manifest, **more: object) -> str:
    """Return what is in a backup, for programs."""
    shown = manifest.model_dump(mode="json", include={"made_at", "version", "files", "volumes", "has_key", "warnings"})
    return json.dumps({**more, **shown, "rows": dict(manifest.rows)}, ensure_ascii=False, indent=2)


def _key(config: Config) -> str:
    """Raises BackupFailed where there is none."""
    if config.secret_key is not None:
        return config.secret_key.get_secret_value() + "\n"
    try:
        return (config.data_dir / KEY_FILE).read_text(encoding="ascii")
    except OSError as error:
        raise BackupFailed(f"There is no key in {config.data_dir / KEY_FILE}.", hint=f"Set {KEY_VARIABLE}, or leave --with-key out.") from error


async def check(file: Path, as_json: bool) -> None:
    """Read a backup whole and say what is in it. Raises BackupFailed."""
    with working(f"Reading {file}"):
        manifest = await anyio.to_thread.run_sync(verify, file)
    if as_json:
        say(_json(manifest, file=str(file)))
        return
    say(f"{file} is whole: {_contents(manifest)}, made on {manifest.made_at:%Y-%m-%d %H:%M} UTC by version {manifest.version}.")
    say("The secret key is in it." if manifest.has_key else "The secret key is not in it.")


async def restore(config: Config, file: Path, take_over: bool, force: bool, without_containers: bool, as_json: bool = False) -> None:
    """Put a backup back and say what to do next. Raises BackupFailed and StoreUnavailable."""
    volumes_of = None if without_containers else _volumes_of(config)
    async with database_url(config) as url:
        try:
            with working(f"Restoring {file}"):
                restored = await restoring.restore(file, url, config.data_dir, take_over=take_over, force=force, volumes_of=volumes_of)
        except EngineAway as error:
            hint = "Start the container engine, or leave the logins of instances in containers out with --without-containers."
            raise BackupFailed(f"The backup holds logins of instances in containers. {error.detail}", hint=hint) from error
    if as_json:
        aside, alone = [str(folder) for folder in restored.set_aside], [str(one) for one in restored.left_alone]
        say(_json(restored.manifest, set_aside=aside, left_alone=alone))
        return
    say(f"Restored: {_contents(restored.manifest)}.")
    for instance_id in restored.left_alone:
        say(f"The instance {instance_id} has a login here already, which was left as it is; --force replaces it.")
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
    return f"{rows['message_instances']} instances, {rows['messages']} messages, {rows['events']} events, {manifest.files} files" + (
        f", what {manifest.volumes} instances in containers keep" if manifest.volumes else ""
    )

"""Encrypt stored secrets again after the secret key has changed, and change the key that is in the data folder."""

import json

from mcp_messenger.app import stored
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput
from mcp_messenger.security.reencryption import reencrypt as reencrypted
from mcp_messenger.security.vault import KEY_FILE, KEY_VARIABLE, add_key, drop_former_keys


async def reencrypt(config: Config, *, new_key: bool, drop_former: bool, as_json: bool = False) -> int:
    """Return 1 where a secret cannot be read with any key. Raises InvalidInput, VaultError and StoreUnavailable."""
    path = config.data_dir / KEY_FILE
    if (new_key or drop_former) and config.secret_key is not None:
        raise InvalidInput(
            f"The key is in {KEY_VARIABLE}, not in {path}.",
            hint=f"Put a new key before the present one there, with a comma between, and start every server again; then run reencrypt "
            f"without options, and take the former key out of {KEY_VARIABLE}.",
        )
    async with stored(config) as app:
        await app.database.started()
        app.vault()
        if new_key:
            add_key(path)
            if not as_json:
                say(f"{path} has a new key before the former one.")
        done = await reencrypted(app.database, app.vault())
        # The end of the audit log comes under the current key too.
        await app.judge.audit.seal()
    if as_json:
        if drop_former and not done.unreadable:
            drop_former_keys(path)
        say(json.dumps({"secrets": done.secrets, "tokens": done.tokens, "unreadable": done.unreadable}, indent=2))
        return 1 if done.unreadable else 0
    say(f"{done.secrets} secrets, API keys and stored calls were encrypted again.")
    if done.unreadable:
        say(f"{done.unreadable} cannot be read with any key that is here. Add the key they are under, or set them again.")
        return 1
    if drop_former:
        drop_former_keys(path)
        say(f"{path} holds the current key alone. User tokens that were not used since it is there are not valid any more.")
    elif done.tokens:
        say(f"There are {done.tokens} user tokens: each comes under the current key when it is used next. Keep the former key until then.")
    return 0

"""What writes voice messages down: a command, or a server that speaks OpenAI's API."""

import shlex
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

MODEL = "whisper-1"
FILE = "{file}"
"""In a command: where the path of the file goes."""


@dataclass(frozen=True)
class TranscriberConfig:
    """Either `command` or `url` is set. `longest` is in seconds of sound, `seconds` the time that it may take, `max_bytes` of the file."""

    command: tuple[str, ...] = ()
    url: str | None = None
    key: SecretStr | None = None
    model: str = MODEL
    longest: float = 900.0
    seconds: float = 300.0
    max_bytes: int = 25 * 1024 * 1024
    """As OpenAI takes: https://platform.openai.com/docs/guides/speech-to-text"""


def parse_transcriber(value: str, key: SecretStr | None, model: str) -> TranscriberConfig | None:
    """Read a command line or an address; None: there is none. Raises ValueError, which holds no key."""
    if not value:
        if key is not None or model:
            raise ValueError("a key or a model has no effect without it")
        return None
    if value.lower().startswith(("http://", "https://")):
        if not urlsplit(value).hostname:
            raise ValueError("the address has no host")
        return TranscriberConfig(url=value, key=key, model=model or MODEL)
    if key is not None or model:
        raise ValueError("a command takes no key and no model; name them in the command itself")
    command = shlex.split(value)
    return TranscriberConfig(command=tuple(command if any(FILE in part for part in command) else [*command, FILE]))

"""Agents that answer and are no AgentOS's, as the operator names them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

SECONDS = 240.0
NAME_MAX = 128


AgentName = Annotated[str, Field(min_length=1, max_length=NAME_MAX, pattern=r"^[^/\\?#%\s]+$")]


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an http or https address is needed")
    return text


class AgentConfig(BaseModel):
    """Where an agent answers, and how it is asked. `key` is sent as a Bearer token; `seconds` is how long an answer may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["openai", "a2a", "webhook"]
    url: Annotated[str, AfterValidator(_address)]
    key: SecretStr | None = None
    model: str | None = None
    """Of kind openai: the name of the model."""
    system: str | None = Field(default=None, max_length=100_000)
    """Of kind openai: what the model is told about its task."""
    history: int = Field(default=30, ge=0, le=500)
    """Of kind openai: how many earlier messages of the chat it is shown."""
    seconds: float = Field(default=SECONDS, gt=0, le=3600)

    @property
    def bearer(self) -> str | None:
        return None if self.key is None else self.key.get_secret_value()


def parse_agents(value: str) -> Mapping[str, AgentConfig]:
    """Return the agents by name, of JSON text or of a file with it. Raises ValueError that holds no key."""
    if not value:
        return {}
    try:
        text = value if value.lstrip().startswith("{") else Path(value).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    try:
        return TypeAdapter(dict[AgentName, AgentConfig]).validate_python(json.loads(text))
    except ValidationError as error:
        faults = ("{}: {}".format(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors(include_url=False, include_input=False))
        raise ValueError("; ".join(faults)) from None
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None

"""What a sandbox instance is set up with."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from providers.base import Settings
from providers.text import Line

ACCESS_CODE_PREFIX = "sandbox-"


class Step(BaseModel):
    """One step of a script: when a message contains `expect` (letter case aside; "*" takes any), `reply` is the answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expect: str = "*"
    reply: str = Field(min_length=1)

    def matches(self, text: str) -> bool:
        return self.expect == "*" or self.expect.casefold() in text.casefold()


class SandboxSettings(Settings):
    admin_fields = frozenset({"page_port"})

    persona: Literal["echo", "script", "human"] = "echo"
    """How people answer: echo repeats, script follows `script` once in every chat, human leaves it to the chat page."""
    script: tuple[Step, ...] = ()
    """Steps such as {"expect": "price", "reply": "12 euros"}; "*" takes any message."""
    reply_delay_ms: int = Field(default=0, ge=0, le=60_000)
    """Milliseconds until an answer."""
    account_name: Line = "Sandbox Agent"
    """The account's name on the chat page."""
    access_code: SecretStr | None = None
    """Logs in without a QR code, as a bot token does. Codes that begin with "sandbox-" are accepted, all others refused."""
    webhook_secret: SecretStr | None = None
    """The key of webhook signatures; without it every webhook is refused."""
    auto_scan: bool = False
    """The imaginary phone scans the QR code as soon as it is shown."""
    page: bool = True
    """Serve the chat page on 127.0.0.1."""
    page_port: int = Field(default=0, ge=0, le=65_535)
    """0 takes a free port, and the same one after a restart where it is still free."""

    @model_validator(mode="after")
    def _can_come_to_life(self) -> Self:
        if self.persona == "script" and not self.script:
            raise ValueError("persona 'script' needs at least one step in script")
        if not (self.page or self.auto_scan or self.access_code):
            raise ValueError("nobody could scan the QR code: set page, auto_scan or access_code")
        return self

"""What the doctor found."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from providers.errors import MessengerError


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Works, or may soon; somebody should look."""
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """`check` is the part that was looked at, `hint` what to do."""

    check: str
    verdict: Verdict
    detail: str
    hint: str | None = None

    def shown(self) -> dict[str, Any]:
        return asdict(self)


def ok(check: str, detail: str) -> Finding:
    return Finding(check, Verdict.OK, detail)


def warning(check: str, detail: str, hint: str) -> Finding:
    return Finding(check, Verdict.WARNING, detail, hint)


def problem(check: str, detail: str, hint: str) -> Finding:
    return Finding(check, Verdict.PROBLEM, detail, hint)


def failed(check: str, error: MessengerError) -> Finding:
    """What an error says, as a problem."""
    return Finding(check, Verdict.PROBLEM, error.detail, error.hint)

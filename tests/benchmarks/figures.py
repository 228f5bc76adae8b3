"""What a benchmark finds: figures, each measured beside a bare form of the same work in the same run."""

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    at: Literal["most", "least"]
    limit: float
    of: Literal["value", "ratio"]

    def is_met(self, figure: "Figure") -> bool:
        found = figure.value if self.of == "value" else figure.ratio
        return found is not None and (found <= self.limit if self.at == "most" else found >= self.limit)

    def __str__(self) -> str:
        return f"at {self.at} {self.limit:g}{'x' if self.of == 'ratio' else ''}"


def at_most(limit: float, of: Literal["value", "ratio"] = "value") -> Target:
    return Target("most", limit, of)


def at_least(limit: float, of: Literal["value", "ratio"] = "ratio") -> Target:
    return Target("least", limit, of)


@dataclass(frozen=True)
class Figure:
    """`bare` is the same figure of the bare form; without a target it is only told."""

    what: str
    value: float
    unit: str
    bare: float | None = None
    target: Target | None = None
    before: float | None = None
    """What another commit gave in the same run."""

    @property
    def ratio(self) -> float | None:
        return self.value / self.bare if self.bare else None

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "met" if self.target.is_met(self) else "NOT MET"


async def interleaved(rounds: int, forms: Mapping[str, Callable[[], Awaitable[T]]]) -> dict[str, list[T]]:
    """What each form gave in each round; the forms take turns, so that what else the machine does hits all of them alike."""
    found: dict[str, list[T]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, run in forms.items():
            found[name].append(await run())
    return found


def percentile(values: Sequence[float], part: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[part - 1]


def table(figures: Sequence[Figure]) -> str:
    head = ["what", "figure", "bare", "ratio", "target", "", "before", "change"]
    rows = [head, *(_row(figure) for figure in figures)]
    if not any(row[6] for row in rows[1:]):
        rows = [row[:6] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (row[0].ljust(widths[0]) + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(figure: Figure) -> list[str]:
    before = figure.before
    shown = [_shown(figure.value, figure.unit), _shown(figure.bare, figure.unit), _shown(figure.ratio), str(figure.target or ""), figure.verdict]
    return [figure.what, *shown, _shown(before, figure.unit), _shown(figure.value / before if before else None)]


def _shown(value: float | None, unit: str = "x") -> str:
    if value is None:
        return ""
    number = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number}{unit}" if unit == "x" else f"{number} {unit}"

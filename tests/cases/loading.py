"""The cases of a file as parameters of a test: each under its id, those of known faults as expected failures."""

import json
import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cases.known import KNOWN

Json = dict[str, Any]

FOLDER = Path(__file__).parent
_SECONDS = re.compile(r"\b1790\d{6}\b")
_MILLISECONDS = re.compile(r"\b1790\d{9}\b")
_DISCORD_DAY = re.compile(r"2026-09-21T10:00:00(\.000000)?")
_SNOWFLAKE = re.compile(r"\b13\d{17}\b")
_OUTLIER = 1790001000
"""Times after it are deadlines and the like, and not of the case's own minute."""
_SLOW = 20
"""Seconds that a loaded machine may take from the beginning of a case to its last call."""
_DISCORD_EPOCH_MS = 1_420_070_400_000


def content(file: str) -> Json:
    return json.loads((FOLDER / file).read_text(encoding="utf-8"))


def cases(*files: str, only: Callable[[Json], bool] = lambda case: True) -> list[Any]:
    """Parameters `case` of the cases that `only` takes."""
    return [_parameter(file, case) for file in files for case in content(file)["cases"] if only(case)]


def _parameter(file: str, case: Json) -> Any:
    reason = next((reason for reason, ids in KNOWN.get(file, {}).items() if case["id"] in ids), None)
    marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]
    return pytest.param(case, id=case["id"], marks=marks)


def unknown_ids() -> list[str]:
    """Ids of known faults that are no case's."""
    listed = {(file, id) for file, reasons in KNOWN.items() for ids in reasons.values() for id in ids}
    real = {(path.name, case["id"]) for path in FOLDER.glob("*.json") for case in content(path.name)["cases"]}
    return sorted(f"{file}: {id}" for file, id in listed - real)


def now(case: Json) -> Json:
    """The case with its times moved to now: the last call of ours comes after the messages before it, and before those after it."""
    calls = [number for number, step in enumerate(case["input"]) if "call" in step]
    after = case["input"][calls[-1] + 1 :] if calls else []
    late = _times(after)
    last = max(late or _times(case["input"]), default=None)
    shift = 0 if last is None else int(time.time()) + (_SLOW if late else -1) - last
    text = json.dumps(case, ensure_ascii=False)
    text = _MILLISECONDS.sub(lambda found: str(int(found[0]) + shift * 1000), text)
    text = _SECONDS.sub(lambda found: str(int(found[0]) + shift), text)
    at = datetime.now(UTC) + timedelta(seconds=_SLOW if calls else -1)
    text = _DISCORD_DAY.sub(at.strftime("%Y-%m-%dT%H:%M:%S.000000"), text)
    return json.loads(_moved_snowflakes(text))


def _times(steps: Iterable[Json]) -> list[int]:
    text = json.dumps(list(steps))
    seconds = [*map(int, _SECONDS.findall(text)), *(int(found) // 1000 for found in _MILLISECONDS.findall(text))]
    return [found for found in seconds if found < _OUTLIER]


def _moved_snowflakes(text: str) -> str:
    """Each at its second by its rank: an id tells when a thing was made."""
    ids = sorted(set(_SNOWFLAKE.findall(text)))
    base = int(time.time() * 1000) - _DISCORD_EPOCH_MS - len(ids)
    moved = {id: str((base + rank) << 22) for rank, id in enumerate(ids)}
    return _SNOWFLAKE.sub(lambda found: moved[found[0]], text)

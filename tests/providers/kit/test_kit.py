"""What all messengers are made of."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from providers.errors import InvalidRequest, RateLimited, Unreachable
from providers.events import StateChanged
from providers.kit.backoff import Backoff
from providers.kit.bounded import BoundedMap, BoundedSet, bounded_raw
from providers.kit.delivery import StateReporter, deliver_until_taken
from providers.kit.extra import check_extra
from providers.kit.json import object_in
from providers.kit.parts import check_parts, is_part, part_nonce, parts_of, send_parts, texts_of
from providers.kit.state_file import StateFile
from providers.limits import Limits
from providers.models import Choice, Draft, SentMessage
from providers.states import InstanceState
from tests.providers.harness import PICTURE, Inbox

pytestmark = pytest.mark.anyio

WRITER = """
import sys
from pathlib import Path
from providers.kit.state_file import StateFile
file, number = StateFile(Path(sys.argv[1]), "The state"), 0
while True:
    number += 1
    file.save({"number": number, "filling": [number] * 20_000})
    print(number, flush=True)
"""


async def test_a_state_file_survives_a_kill_in_the_middle_of_writing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    for _ in range(3):
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE)
        assert writer.stdout is not None
        written = [int(await writer.stdout.readline()) for _ in range(5)]
        writer.send_signal(signal.SIGKILL)
        written += [int(line) for line in (await writer.stdout.read()).splitlines()]
        await writer.wait()
        held = StateFile(path, "The state").load()
        assert held is not None
        assert held["number"] in {written[-1], written[-1] + 1}
        assert held["filling"] == [held["number"]] * 20_000


def test_a_state_file_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json", "The state")
    assert file.load() is None
    for content in ("", "{", "[" * 100_000, "[1]", '"x"'):
        file.path.write_text(content)
        assert file.load() is None


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_takes_nothing_does_not_end_the_receiving(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert not StateFile(tmp_path / "state.json", "The state").try_save({})


async def test_events_are_delivered_until_they_are_taken() -> None:
    inbox = Inbox()
    inbox.refuse(3, StateChanged)
    ready = StateChanged(state=InstanceState.READY)
    await deliver_until_taken(inbox.deliver, [ready], pauses=(0.001,))
    assert (inbox.events, len(inbox.refused)) == ([ready], 3)


async def test_a_state_is_reported_once_and_again_where_it_was_not_taken() -> None:
    inbox = Inbox()
    reporter = StateReporter(inbox.deliver)
    inbox.refuse(1, StateChanged)
    with pytest.raises(ConnectionError):
        await reporter.report()
    await reporter.report()
    await reporter.report()
    await reporter.report(StateChanged(state=InstanceState.READY))
    assert inbox.states() == [InstanceState.STARTING, InstanceState.READY]
    for _ in range(3):
        await reporter.report(StateChanged(state=InstanceState.DEGRADED, reason="No answer."))
        await reporter.report()
    assert inbox.states()[2:] == [InstanceState.DEGRADED] * 3


def test_pauses_grow_to_the_last_one_and_begin_again_after_success() -> None:
    backoff = Backoff((1, 4))
    pauses = [backoff.next() for _ in range(4)]
    assert all(half <= pause <= 2 * half for pause, half in zip(pauses, (0.5, 2, 2, 2), strict=True))
    assert backoff.next(at_least=60) == 60
    backoff.reset()
    assert backoff.next() <= 1


def test_bounded_memories_forget_the_oldest() -> None:
    known: BoundedMap[str, int] = BoundedMap(2)
    known["a"], known["b"] = 1, 2
    assert known.get("a") == 1
    known["c"] = 3
    assert known.items() == [("a", 1), ("c", 3)]
    seen: BoundedSet[str] = BoundedSet(2)
    seen.update(["a", "b", "c"])
    assert ["a" in seen, "b" in seen, "c" in seen] == [False, True, True]


def test_a_payload_without_bounds_is_not_kept() -> None:
    assert bounded_raw({"id": 1, "text": "x"}, "id") == {"id": 1, "text": "x"}
    assert bounded_raw({"id": 1, "text": "x" * 70_000}, "id")["left_out"].endswith("bytes")
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    assert bounded_raw({"id": 1, "deep": deep}, "id") == {"id": 1, "left_out": "nested too deeply"}


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b"\xff", *(b'{"a": ' + b"[" * deep + b"]" * deep + b"}" for deep in (300, 200_000))])
def test_what_is_no_object_is_none(body: bytes) -> None:
    assert object_in(body) is None


def draft(text: str = "hello", **fields: object) -> Draft:
    return Draft.model_validate({"client_id": "7", "chat_id": "ann", "text": text, **fields})


def test_fields_of_extra_are_refused_by_name() -> None:
    check_extra(draft(extra={"split": True, "known": 1}), "It", reserved={"text"}, known={"known"})
    with pytest.raises(InvalidRequest, match="may not hold text"):
        check_extra(draft(extra={"text": "other"}), "It", reserved={"text"})
    with pytest.raises(InvalidRequest, match="no field unheard_of"):
        check_extra(draft(extra={"unheard_of": 1}), "It", known={"known"})


def test_every_part_keeps_reply_and_thread_and_the_last_has_the_rest() -> None:
    whole = draft(reply_to="1", thread_id="2", silent=True, choices=(Choice(id="a", title="A"),), extra={"split": True, "place": 1, "buttons": 2})
    first, last = parts_of(whole, ["a", "b"], everywhere={"place"})
    assert [(part.text, part.reply_to, part.thread_id, part.silent) for part in (first, last)] == [("a", "1", "2", True), ("b", "1", "2", True)]
    assert [(part.extra, len(part.choices)) for part in (first, last)] == [({"place": 1}, 0), ({"place": 1, "buttons": 2}, 1)]


class Platform:
    """Takes so many messages, and raises then."""

    def __init__(self, error: Exception | None = None, after: int = 0) -> None:
        self.taken: list[str] = []
        self._error = error
        self._after = after

    async def send(self, part: Draft, number: int) -> SentMessage:
        if self._error is not None and len(self.taken) == self._after:
            raise self._error
        self.taken.append(part.text)
        sent_at = "2026-01-01T00:00:00Z"
        return SentMessage.model_validate({"id": f"m{number}", "at": sent_at, "chat_id": "ann"})


def test_as_many_parts_as_allowed_are_sent_and_one_more_is_refused() -> None:
    check_parts(["a", "b", "c"], 3)
    with pytest.raises(InvalidRequest, match="makes 4 messages; at most 3"):
        check_parts(["a", "b", "c", "d"], 3)


def test_a_text_is_split_and_a_caption_never_is() -> None:
    text = Draft(client_id="1", chat_id="ann", text="first second", extra={"split": True})
    assert texts_of(text, Limits(max_text=7), markdown=False) == ["first", "second"]
    caption = text.model_copy(update={"upload": PICTURE})
    assert texts_of(caption, Limits(max_text=7), markdown=False) == ["first second"]


async def test_parts_are_one_message_and_a_failure_says_what_went_out_and_where_the_rest_begins() -> None:
    parts: Sequence[Draft] = parts_of(draft(extra={"split": True}), ["one", "two", "three"])
    sent = await send_parts(parts, Platform().send)
    assert (sent.id, sent.parts) == ("m0", ("m0", "m1", "m2"))
    with pytest.raises(RateLimited):
        await send_parts(parts, Platform(RateLimited(3)).send)
    with pytest.raises(Unreachable, match=r"2 of 3 messages went out \(m0, m1\), then: .* was not sent; it begins with “three”") as caught:
        await send_parts(parts, Platform(RateLimited(3), after=2).send)
    assert caught.value.maybe_sent
    with pytest.raises(Unreachable, match=r"1 of 3 .* may have gone out, too; it begins with “two”"):
        await send_parts(parts, Platform(Unreachable("No answer.", maybe_sent=True), after=1).send)


def test_no_part_settles_a_send_and_a_single_message_does() -> None:
    assert [is_part(part_nonce("7", number, 3)) for number in range(3)] == [True, True, True]
    assert part_nonce("7", 0, 1) == "7"
    assert not is_part("7")
    assert not is_part(None)


def test_a_state_file_leaves_nothing_beside_it_and_can_be_removed(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json", "The state")
    file.save({"newest": 1, "name": "ж"})
    assert json.loads(file.path.read_bytes()) == {"newest": 1, "name": "ж"}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    file.remove()
    file.remove()
    assert file.load() is None

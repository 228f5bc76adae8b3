"""The spool by itself: what it keeps, what it lets go, and what it does when there is no room."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_messenger.relay import send_ledger
from mcp_messenger.relay.spool import Bounds, Spool
from mcp_messenger.relay.spool_file import SpoolFile, SpoolUnavailable
from providers.events import Event, MessageReceived, QrCode, StateChanged
from providers.models import Account, Chat, ChatKind, Message
from providers.states import InstanceState

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def said(text: str, id: str | None = None, *, at: datetime = NOW, outgoing: bool = False, client_id: str | None = None) -> MessageReceived:
    message = Message(id=id or text, chat_id="ann", at=at, sender_id="ann", text=text, outgoing=outgoing)
    return MessageReceived(message=message, chat=Chat(id="ann", kind=ChatKind.PRIVATE, title="Ann"), client_id=client_id)


def texts(events: list[Event]) -> list[str]:
    return [event.message.text for event in events if isinstance(event, MessageReceived)]


async def waiting(spool: Spool, *, after: int | None = None, limit: int = 500) -> list[Event]:
    return [one.event for one in (await spool.page(after=after, spool=None, limit=limit)).events]


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    spool = Spool(tmp_path / "spool.sqlite3", Bounds(events=10, message_ids=20))
    await spool.open()
    yield spool
    await spool.file.close()


async def test_events_wait_in_order_until_they_are_confirmed(spool: Spool) -> None:
    for number in range(5):
        await spool.append([said(str(number))])
    page = await spool.page(after=None, spool=None, limit=2)
    assert texts([one.event for one in page.events]) == ["0", "1"]
    assert texts(await waiting(spool)) == ["0", "1", "2", "3", "4"]
    assert texts(await waiting(spool, after=page.events[-1].seq)) == ["2", "3", "4"]
    assert texts(await waiting(spool)) == ["2", "3", "4"]


async def test_what_is_confirmed_stays_so_and_numbers_go_on_after_a_restart(spool: Spool) -> None:
    await spool.append([said("one"), said("two")])
    first, second = (await spool.page(after=None, spool=None, limit=9)).events
    await spool.page(after=first.seq, spool=None, limit=9)
    await spool.file.close()
    again = Spool(spool.file.path, Bounds())
    await again.open()
    page = await again.page(after=None, spool=None, limit=9)
    assert [one.seq for one in page.events] == [second.seq]
    await again.page(after=second.seq, spool=None, limit=9)
    await again.append([said("three")])
    (third,) = (await again.page(after=None, spool=None, limit=9)).events
    assert third.seq > second.seq
    assert page.spool == await again.identity()
    await again.file.close()


async def test_a_cursor_of_another_spool_confirms_nothing(spool: Spool) -> None:
    await spool.append([said("one")])
    page = await spool.page(after=1000, spool="another", limit=9)
    assert texts([one.event for one in page.events]) == ["one"]
    assert (await spool.page(after=1000, spool=page.spool, limit=9)).events == []


async def test_a_message_that_is_brought_twice_is_told_once(spool: Spool) -> None:
    await spool.append([said("hello", "1"), said("hello", "1")])
    await spool.append([said("hello", "1")])
    assert texts(await waiting(spool)) == ["hello"]


async def test_another_account_has_the_same_ids_for_other_messages(spool: Spool) -> None:
    for id in ("bot-1", "bot-2"):
        await spool.append([StateChanged(state=InstanceState.READY, account=Account(id=id)), said(f"to {id}", "7:1")])
    assert texts(await waiting(spool)) == ["to bot-1", "to bot-2"]


async def test_a_login_code_is_never_written(spool: Spool) -> None:
    qr = QrCode(content="SECRET-OF-A-LOGIN", sequence=1, issued_at=NOW, expires_at=NOW)
    told = StateChanged(state=InstanceState.QR_READY, qr=qr, pairing_code="SECRET-CODE")
    await spool.append([told])
    assert await waiting(spool) == [told]
    await spool.file.close()
    for path in spool.file.path.parent.iterdir():
        assert b"SECRET" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0 or path.suffix != ".sqlite3"
    again = Spool(spool.file.path, Bounds())
    await again.open()
    assert await waiting(again) == []
    await again.file.close()


async def test_what_goes_unread_is_the_oldest_and_is_counted_and_told(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    ready = StateChanged(state=InstanceState.READY, account=Account(id="me"))
    await spool.append([ready])
    with caplog.at_level(logging.ERROR):
        for number in range(30):
            await spool.append([said(f"{number:02}")])
        await spool.trim()
    assert texts(await waiting(spool)) == [f"{number:02}" for number in range(20, 30)]
    assert (await spool.page(after=None, spool=None, limit=1)).lost == 20
    assert "20 events were dropped unread" in caplog.text
    states = [event for event in await waiting(spool) if isinstance(event, StateChanged)]
    assert [state.state for state in states] == [InstanceState.READY, InstanceState.DEGRADED, InstanceState.READY]
    assert states[1].reason == "20 events were dropped unread: there were more than the spool keeps."
    assert states[2] == ready
    # The ids by which a repeated message is recognised are bounded too.
    await spool.append([said("10"), said("09")])
    assert texts(await waiting(spool))[-1] == "09"


async def test_within_the_bounds_nothing_goes(spool: Spool) -> None:
    for number in range(10):
        await spool.append([said(str(number))])
    await spool.trim()
    page = await spool.page(after=None, spool=None, limit=99)
    assert (len(page.events), page.lost) == (10, 0)


async def test_old_events_go_by_age(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite3", Bounds(age=timedelta(0)))
    await spool.append([said("old")])
    await spool.trim()
    page = await spool.page(after=None, spool=None, limit=99)
    assert (page.events, page.lost) == ([], 1)
    await spool.file.close()


async def test_a_full_disk_takes_nothing_and_goes_on_when_there_is_room(spool: Spool) -> None:
    await spool.append([said("before")])
    pages: int = await spool.file.read(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await spool.file.read(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    big = said("x" * 500_000, "big")
    with pytest.raises(SpoolUnavailable, match="full"):
        await spool.append([said("with it", "with it"), big])
    assert "full" in (spool.file.trouble or "")
    # The limit was of the connection that failed; the next one finds room.
    await spool.append([big])
    assert spool.file.trouble is None
    assert [len(text) for text in texts(await waiting(spool))] == [len("before"), 500_000]


async def test_two_programs_do_not_share_a_folder(spool: Spool) -> None:
    other = SpoolFile(spool.file.path)
    with pytest.raises(SpoolUnavailable, match="locked"):
        await other.write(lambda db: db.execute("SELECT 1"))


async def test_a_file_that_is_no_spool_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(SpoolUnavailable, match="not a database"):
        await SpoolFile(path).write(lambda db: db.execute("SELECT 1"))


async def test_an_echo_is_spooled_again_and_settles_its_send(spool: Spool) -> None:
    await spool.append([said("hello", "1", outgoing=True)])
    await spool.file.write(lambda db: send_ledger.begin(db, "77", "fingerprint"))
    await spool.append([said("hello", "1", outgoing=True, client_id="77")])
    assert texts(await waiting(spool)) == ["hello", "hello"]
    entry = await spool.file.read(lambda db: send_ledger.entry(db, "77"))
    assert entry is not None
    assert (entry.outcome, entry.answer and entry.answer["id"]) == ("done", "1")

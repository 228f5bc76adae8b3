"""Keeps an account from what gets numbers blocked: writing to many strangers, above all from a fresh login.

What it knows survives a restart in a file. A chat counts before its first message goes out, so that a crash in between forgets none.
"""

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path

from providers.errors import Forbidden
from providers.kit.state_file import StateFile
from providers.limits import SendingBudget

_FILE = "governor.json"
_DAY = 86_400
_WARM_UP_DAYS = 7
_LOCK_SECONDS = _DAY
_LOOK_UPS_PER_NEW_CHAT = 5
_LOOK_UPS_LEAST = 20
_UNTAKEN_MAX = 1000

_HINT = "People who wrote first can always be answered. WhatsApp blocks numbers that write to many strangers."


class Governor:
    def __init__(self, folder: Path, new_chats_per_day: int, clock: Callable[[], float] = time.time) -> None:
        self._file = StateFile(folder / _FILE, "The account counts as a fresh login, since what it has done")
        self._per_day = new_chats_per_day
        self._clock = clock
        self._since: float | None = None
        self._opened: dict[str, float] = {}
        self._locked_until = 0.0
        self._looked_up: list[float] = []
        # The page keeps a chat whose only message was refused, and lists it like any other after a restart.
        self._untaken: dict[str, None] = {}
        self._load()

    def _load(self) -> None:
        kept = self._file.load()
        if kept is None:
            return
        try:
            self._since, self._opened, self._locked_until = kept["since"], dict(kept["opened"]), float(kept["locked_until"])
            self._looked_up = [float(at) for at in kept.get("looked_up", ())]
            self._untaken = dict.fromkeys(str(id) for id in kept.get("untaken", ()))
        except (ValueError, KeyError, TypeError) as error:
            # The careful side: the account warms up again, as after a fresh login.
            self._file.unreadable(error)

    @property
    def allowance(self) -> int:
        """New chats in 24 hours; in the first week after a login it grows day by day."""
        days = 0 if self._since is None else int((self._clock() - self._since) // _DAY)
        return self._per_day if days >= _WARM_UP_DAYS else -(-self._per_day * (days + 1) // (_WARM_UP_DAYS + 1))

    def budget(self) -> SendingBudget:
        now = self._clock()
        begun = self._begun()
        locked = self._locked_until if now < self._locked_until else None
        warm = None if self._since is None else self._since + _WARM_UP_DAYS * _DAY
        return SendingBudget(
            begun=len(begun),
            allowed=self.allowance,
            allowed_after_warm_up=self._per_day,
            warm_up_until=_time(warm) if warm is not None and now < warm else None,
            locked_until=_time(locked),
            next_at=_time(self._next_at(begun, locked)),
        )

    def _begun(self, but: str | None = None) -> list[float]:
        now = self._clock()
        return sorted(at for id, at in self._opened.items() if id != but and at > now - _DAY)

    def _next_at(self, begun: list[float], locked: float | None) -> float | None:
        """Leaves out that the allowance grows: then it may be sooner."""
        if not self.allowance or len(begun) < self.allowance:
            return locked
        return max(begun[-self.allowance] + _DAY, locked or 0.0)

    def require(self, chat_id: str) -> None:
        """Check before a chat is opened. Raises Forbidden."""
        now = self._clock()
        if now < self._locked_until:
            hours = (self._locked_until - now) / 3600
            raise Forbidden(f"WhatsApp does not let this account begin new chats (463); it is not tried again for {hours:.0f} hours.", hint=_HINT)
        begun = len(self._begun(chat_id))
        if begun >= self.allowance:
            raise Forbidden(f"{begun} new chats were opened in 24 hours, and {self.allowance} are allowed now.", hint=_HINT)

    def begin(self, chat_id: str) -> bool:
        """Before the first message goes out. False: an earlier attempt was counted, and may have gone out. Raises Forbidden."""
        self.require(chat_id)
        now = self._clock()
        self._opened = {id: at for id, at in self._opened.items() if at > now - _DAY}
        if chat_id in self._opened:
            return False
        self._opened[chat_id] = now
        self._note_untaken(chat_id)
        self._save()
        return True

    def is_untaken(self, ids: Collection[str]) -> bool:
        """Whether a chat under one of these ids was opened by this account, and WhatsApp has taken no message in it."""
        return any(id in self._untaken for id in ids)

    def taken(self, ids: Collection[str]) -> None:
        """WhatsApp took a message to this chat, or the other side wrote in it: from now on it is like any other."""
        if self.is_untaken(ids):
            self._untaken = {id: None for id in self._untaken if id not in ids}
            self._save()

    def _note_untaken(self, chat_id: str) -> None:
        self._untaken = dict.fromkeys([*self._untaken, chat_id][-_UNTAKEN_MAX:])

    def not_begun(self, chat_id: str) -> None:
        """That message surely did not go out."""
        self._opened.pop(chat_id, None)
        self._save()

    def look_up(self) -> None:
        """Count a question to WhatsApp about somebody whom the account never met, before it is asked. Raises Forbidden."""
        if (obstacle := self.no_look_up()) is not None:
            hint = "Look up only numbers that are meant to be written to. WhatsApp blocks accounts that try out numbers."
            raise Forbidden(obstacle, hint=hint)
        self._looked_up.append(self._clock())
        self._save()

    def no_look_up(self) -> str | None:
        """Return why no unknown number may be looked up now; None: it may."""
        self._looked_up = [at for at in self._looked_up if at > self._clock() - _DAY]
        allowed = max(_LOOK_UPS_LEAST, _LOOK_UPS_PER_NEW_CHAT * self.allowance)
        if len(self._looked_up) < allowed:
            return None
        return f"{len(self._looked_up)} unknown numbers were looked up in 24 hours, and {allowed} are allowed now."

    def logged_in(self) -> None:
        if self._since is None:
            self._since = self._clock()
            self._save()

    def logged_out(self) -> None:
        """The next login is a fresh one; the chats opened today still count."""
        if self._since is not None:
            self._since = None
            self._save()

    def locked(self, chat_id: str) -> None:
        """Open no chat for a day: WhatsApp refused a message to this one with 463."""
        self._note_untaken(chat_id)
        self._locked_until = self._clock() + _LOCK_SECONDS
        self._save()

    def _save(self) -> None:
        held = {"since": self._since, "opened": self._opened, "locked_until": self._locked_until, "looked_up": self._looked_up}
        self._file.save({**held, "untaken": list(self._untaken)})


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)

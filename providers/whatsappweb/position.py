"""Up to where the account's messages were delivered, in a file: what came later is fetched at the next start."""

from pathlib import Path

from providers.kit.state_file import StateFile
from providers.whatsappweb.ids import key_of

_FILE = "seen.json"
_OVERLAP_SECONDS = 120
_IDS_MAX = 500


ALL_CHATS = "*"
"""In place of a chat's id, where it is not known which chats there are."""


class Position:
    """The time of the newest message that was delivered, and the ids of those before it: clocks differ, and seconds are shared.

    A message is known by the part of its id that stays when its chat gets another id. `behind` holds the chats that could not be read
    back, and from which time on; None: from the first login on.
    """

    def __init__(self, folder: Path) -> None:
        self._file = StateFile(folder / _FILE, "The position in the messages of WhatsApp")
        self.newest: int | None = None
        self.behind: dict[str, int | None] = {}
        self._account: frozenset[str] = frozenset()
        self._ids: dict[str, int] = {}
        self._by_key: dict[str, str] = {}
        self._load()

    def _load(self) -> None:
        kept = self._file.load()
        if kept is None:
            return
        try:
            self.newest, self._ids = int(kept["newest"]), {str(id): int(t) for id, t in kept["ids"].items()}
            self.behind = {str(id): None if t is None else int(t) for id, t in kept.get("behind", {}).items()}
            self._account = frozenset(str(id) for id in kept.get("account", ()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._file.unreadable(error)
            self.newest, self._ids, self.behind = None, {}, {}
        self._by_key = {key_of(id): id for id in self._ids}

    def begin(self, account: frozenset[str]) -> None:
        """Note by its ids whose messages these are. Nothing is kept of another account, whose login was lost without a word."""
        if self._account and not self._account & account:
            self.forget()
        self._account = account

    def __contains__(self, message_id: str) -> bool:
        return key_of(message_id) in self._by_key

    def delivered_as(self, message_id: str) -> str:
        """Return the id under which the message was delivered, before its chat got another one."""
        return self._by_key.get(key_of(message_id), message_id)

    @property
    def since(self) -> int:
        """From this time on there may be messages that were not delivered."""
        return max(0, (self.newest or 0) - _OVERLAP_SECONDS)

    def add(self, message_id: str, t: int) -> None:
        """Note a message as delivered."""
        self.newest = max(self.newest or 0, t)
        self._ids[message_id] = t
        self._ids = dict(sorted(self._ids.items(), key=lambda item: item[1])[-_IDS_MAX:])
        self._by_key = {key_of(id): id for id in self._ids}
        self._save()

    def read_back(self, failed: dict[str, int | None]) -> None:
        """Everything was read back but for the chats in `failed`, each from its time on."""
        self.newest = self.newest or 0
        self.behind = failed
        self._save()

    def forget(self) -> None:
        """The login is void; the next one may be another account's."""
        self.newest, self._account, self._ids, self._by_key, self.behind = None, frozenset(), {}, {}, {}
        self._file.remove()

    def _save(self) -> None:
        account = sorted(self._account)
        self._file.try_save({"newest": self.newest, "account": account, "ids": self._ids, "behind": self.behind})

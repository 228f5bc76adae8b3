"""Who is written to: a phone number in digits, a business-scoped user id (`US.1349…`), or a group."""

import re

from providers.errors import NotFound
from providers.kit.bounded import BoundedMap, BoundedSet
from providers.kit.json import Json

_PHONE = re.compile(r"\+?[\d\s().-]{4,32}")
_DIGITS = re.compile(r"\d{5,15}")
_SCOPED = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
# What the ids of groups are made of: "capi_group:" in base64.
_GROUP = "Y2FwaV9ncm91cDo"


def phone_of(text: str) -> str | None:
    """The digits of a phone number, however it is written; None for what is none."""
    if not _PHONE.fullmatch(text.strip()):
        return None
    digits = re.sub(r"\D", "", text)
    digits = digits.removeprefix("00") if text.strip().startswith("00") else digits
    return digits if _DIGITS.fullmatch(digits) else None


def is_group(chat_id: str) -> bool:
    return chat_id.startswith(_GROUP)


def recipient_of(chat_id: str) -> Json:
    """The fields that say who a message is for. Raises NotFound for an id that cannot be one."""
    if is_group(chat_id):
        return {"recipient_type": "group", "to": chat_id}
    if _SCOPED.fullmatch(chat_id):
        return {"recipient_type": "individual", "recipient": chat_id}
    if phone := phone_of(chat_id):
        return {"recipient_type": "individual", "to": phone}
    raise NotFound(
        f"'{chat_id[:64]}' is no phone number and no id of WhatsApp.",
        hint="Use the number with its country code, such as 16505551234, or an id from list_chats.",
    )


class People:
    """Which phone number and which business-scoped id are one person, as far as seen since the start.

    Meta leaves the number out for people with a user name, and shows it again while they are in touch.
    """

    def __init__(self) -> None:
        self._phones: BoundedMap[str, str] = BoundedMap()
        self._without_phone: BoundedSet[str] = BoundedSet()

    def chat_of(self, phone: str | None, scoped: str | None) -> str:
        """The chat's id: the number where it is known. Raises KeyError where Meta names nobody."""
        if phone:
            if scoped:
                self._phones[scoped] = phone
            return phone
        if not scoped:
            raise KeyError("from")
        if known := self._phones.get(scoped):
            return known
        self._without_phone.add(scoped)
        return scoped

    def appeared(self, phone: str | None, scoped: str | None) -> bool:
        """Whether a number is shown by now of somebody whose chat had only the scoped id."""
        return bool(phone and scoped and scoped in self._without_phone)

    def merged(self, scoped: str) -> None:
        """The store knows that the chat has the number's id."""
        self._without_phone.discard(scoped)

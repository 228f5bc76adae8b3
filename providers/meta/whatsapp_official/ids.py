"""Addresses: a phone number in digits, a business-scoped user id (`US.1349…`), or a group."""

import re

from providers.errors import NotFound
from providers.kit.json import Json
from providers.kit.phones import digits_of

_SCOPED = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
# What the ids of groups are made of: "capi_group:" in base64.
_GROUP = "Y2FwaV9ncm91cDo"


def is_group(chat_id: str) -> bool:
    return chat_id.startswith(_GROUP)


def recipient_of(chat_id: str) -> Json:
    """The fields that say who a message is for. Raises NotFound for an id that cannot be one."""
    if is_group(chat_id):
        return {"recipient_type": "group", "to": chat_id}
    if _SCOPED.fullmatch(chat_id):
        return {"recipient_type": "individual", "recipient": chat_id}
    if phone := digits_of(chat_id):
        return {"recipient_type": "individual", "to": phone}
    raise NotFound(
        f"'{chat_id[:64]}' is no phone number and no id of WhatsApp.",
        hint="Use the number with its country code, such as 16505551234, or an id from list_chats.",
    )


def person_of(phone: str | None, scoped: str | None) -> str:
    """Return the id of a person's chat: the number where Meta shows it. Raises KeyError where it names nobody.

    Meta leaves the number out for people with a user name, and shows it again while they are in touch; the store knows which belong together.
    """
    if phone or scoped:
        return phone or scoped or ""
    raise KeyError("from")


def aliases_of(person: str, *scoped: str | None) -> tuple[str, ...]:
    """Return the scoped ids of the person whose chat has this id; none where that is a scoped id itself."""
    return () if _SCOPED.fullmatch(person) else tuple(dict.fromkeys(one for one in scoped if one))

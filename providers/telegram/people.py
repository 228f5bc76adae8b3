"""The people and chats of the Bot API, as nouns and as names in sentences."""

from typing import Any

from providers.models import Chat, ChatKind, Contact

Json = dict[str, Any]

_CHAT_KINDS = {"private": ChatKind.PRIVATE, "group": ChatKind.GROUP, "supergroup": ChatKind.GROUP, "channel": ChatKind.CHANNEL}


def chat_of(chat: Json) -> Chat:
    """Return a Chat of the Bot API as ours."""
    return Chat(id=str(chat["id"]), kind=_CHAT_KINDS.get(chat["type"], ChatKind.UNKNOWN), title=title_of(chat), username=chat.get("username"))


def person_of(user: Json) -> Contact:
    """Return a User of the Bot API as ours."""
    return Contact(id=str(user["id"]), name=name_of(user), username=user.get("username"), is_bot=user.get("is_bot", False))


def name_of(person: Json) -> str:
    """Return the first and last name of a User, SharedUser or Contact."""
    return f"{person.get('first_name', '')} {person.get('last_name', '')}".strip()


def names_of(people: list[Json]) -> str:
    """Return the names of several people, with commas."""
    return ", ".join(name_of(person) for person in people)


def title_of(chat: Json) -> str:
    """Return the title of a chat; of a private one it is the person's name."""
    return chat.get("title") or name_of(chat) or chat.get("username", "")


def author_of(message: Json) -> Contact:
    """Return the author. Anonymous administrators and channels write as a chat, and `from` then holds a placeholder."""
    if "from" in message and "sender_chat" not in message:
        return person_of(message["from"])
    chat = chat_of(message.get("sender_chat", message["chat"]))
    return Contact(id=chat.id, name=chat.title, username=chat.username)


def shown_author(message: Json, author: Contact) -> str:
    """Return the author's name as Telegram shows it: with the person who signed for a chat, and with the inline bot that was used."""
    signature, bot = message.get("author_signature"), message.get("via_bot")
    name = f"{author.name} ({signature})" if signature and author.id.startswith("-") else author.name
    return f"{name} via @{bot.get('username') or name_of(bot)}" if bot else name

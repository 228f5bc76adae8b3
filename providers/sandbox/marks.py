"""What our account does with messages, chats and people besides writing: kept as facts of the world, so that tests and the page can see it."""

import re
import secrets

from providers.errors import Forbidden, NotFound
from providers.models import ChatMarks, Contact, Profile
from providers.sandbox.people import OWN_ID
from providers.sandbox.world import World


def set_pinned(world: World, message_id: str, chat_id: str, pinned: bool) -> None:
    """Pin a message of the chat, or take the pin off."""
    _set(world, f"pinned:{world.post(message_id, chat_id).message.id}", pinned)


def set_starred(world: World, message_id: str, chat_id: str, starred: bool) -> None:
    """Star a message of the chat, or take the star off."""
    _set(world, f"starred:{world.post(message_id, chat_id).message.id}", starred)


def set_archived(world: World, chat_id: str, archived: bool) -> None:
    """Put a chat into the archive, or take it out."""
    _set(world, f"archived:{world.chat(chat_id).id}", archived)


def mark(world: World, chat_id: str, marks: ChatMarks) -> None:
    """Change how our account keeps a chat. A mute that has an end is kept with it."""
    id = world.chat(chat_id).id
    with world.change():
        if marks.pinned is not None:
            _set(world, f"chat-pinned:{id}", marks.pinned)
        if marks.muted is not None:
            until = "ever" if marks.muted_until is None else marks.muted_until.isoformat()
            world.set_fact(f"muted:{id}", until if marks.muted else None)
        if marks.unread:
            world.set_fact(f"read:{id}", "0")


def look_up(world: World, phone: str) -> Contact | None:
    """Return who has this number."""
    digits = re.sub(r"\D", "", phone)
    return next((contact for contact in world.contacts() if contact.phone is not None and contact.phone.lstrip("+") == digits), None)


def set_blocked(world: World, contact_id: str, blocked: bool) -> None:
    """Take no more messages from a person, or take them again. Raises NotFound."""
    if world.find_contact(contact_id) is None:
        raise NotFound(f"No contact '{contact_id}' in this instance.", hint="Call list_contacts for those there are.")
    _set(world, f"blocked:{contact_id}", blocked)


def blocked_people(world: World) -> list[str]:
    """Return the ids of the people whom our account has blocked."""
    return [contact.id for contact in world.contacts() if world.fact(f"blocked:{contact.id}") is not None]


def require_not_blocked(world: World, contact_id: str) -> None:
    """Raise Forbidden for a person whom our account has blocked."""
    if world.fact(f"blocked:{contact_id}") is not None:
        raise Forbidden(f"'{contact_id}' is blocked by the account.", hint="Write as somebody else.")


def update_profile(world: World, profile: Profile) -> None:
    """Change the parts of our profile that are not None."""
    with world.change():
        if profile.name is not None:
            world.set_fact("profile:name", profile.name)
        if profile.about is not None:
            world.set_fact("profile:about", profile.about)
        if profile.picture is not None:
            world.set_fact("profile:picture", world.add_file(profile.picture.content, profile.picture.mime, profile.picture.name))


def post_story(world: World, text: str) -> str:
    """Keep a story of ours, and return its id."""
    id = f"story-{secrets.token_hex(4)}"
    world.set_fact(f"story:{OWN_ID}:{id}", text)
    return id


def _set(world: World, key: str, value: bool) -> None:
    world.set_fact(key, "yes" if value else None)

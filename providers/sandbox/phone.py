"""The side of the other people: what the chat page, the personas and the tests do."""

import re
import secrets
from collections.abc import Sequence

from providers.errors import Forbidden, InvalidRequest, NotFound
from providers.events import MessageDeleted, MessageEdited, MessageReceived, ReactionChanged, ReceiptChanged, ReceiptStatus
from providers.models import Chat, ChatKind, Contact, Location, Media, Message, MessageKind
from providers.sandbox.marks import require_not_blocked
from providers.sandbox.world import Post, World
from providers.text import clean, clean_line

_ORDER = (ReceiptStatus.SENT, ReceiptStatus.DELIVERED, ReceiptStatus.READ)


class Phone:
    """Every act is kept by the world at once, together with the event that tells our side. Raises NotFound for what is not there."""

    def __init__(self, world: World) -> None:
        self.world = world

    def write(
        self,
        chat_id: str,
        text: str = "",
        *,
        sender_id: str | None = None,
        reply_to: str | None = None,
        media: Sequence[Media] = (),
        location: Location | None = None,
        message_id: str | None = None,
        chosen: str | None = None,
    ) -> str:
        """Returns the message's id. In a group the first member writes unless another is named. A `message_id` known already is not written again."""
        if message_id is not None and self.world.find_post(message_id):
            return message_id
        chat = self.world.chat(chat_id)
        sender = self._sender(chat, sender_id)
        require_not_blocked(self.world, sender.id)
        if reply_to is not None:
            self.world.post(reply_to, chat_id)
        message = Message(
            id=message_id or new_id(),
            chat_id=chat.id,
            at=self.world.now(),
            sender_id=sender.id,
            sender_name=sender.name,
            kind=_kind(media, location),
            text=text,
            reply_to=reply_to,
            media=tuple(media),
            location=location,
            chosen=chosen,
            mentions_me=chat.kind is ChatKind.GROUP and "@agent" in text.casefold(),
        )
        if not (message.text.strip() or media or location):
            raise InvalidRequest("The message is empty.", hint="Write a text, or choose a file.")
        with self.world.change():
            self.world.add_message(message)
            self.world.announce(MessageReceived(message=message, chat=chat, sender=sender))
        return message.id

    def choose(self, message_id: str, choice_id: str) -> str:
        """Pick one of the choices under the agent's message. Returns the id of the message that says so."""
        post = self.world.post(message_id)
        choice = next((one for one in self.world.choices(message_id) if one.id == choice_id), None)
        if choice is None:
            raise NotFound(f"The message offers no choice '{choice_id}'.", hint="Choose one that it shows.")
        return self.write(post.message.chat_id, choice.title, reply_to=message_id, chosen=choice.id)

    def _sender(self, chat: Chat, sender_id: str | None) -> Contact:
        people = self.people(chat)
        if sender_id is None and people:
            return people[0]
        for contact in people:
            if contact.id == sender_id:
                return contact
        raise Forbidden(f"'{sender_id}' is not in the chat '{chat.id}'.", hint=f"Those who are: {', '.join(contact.id for contact in people)}.")

    def people(self, chat: Chat) -> Sequence[Contact]:
        if chat.kind is ChatKind.GROUP:
            return self.world.members(chat.id)
        contact = self.world.find_contact(chat.id)
        return [contact] if contact else []

    def edit(self, message_id: str, text: str) -> None:
        post = self._own(message_id)
        at = self.world.now()
        with self.world.change():
            self.world.rewrite(post.message.model_copy(update={"text": clean(text)}))
            self.world.announce(MessageEdited(chat_id=post.message.chat_id, message_id=message_id, text=text, at=at))

    def delete(self, message_id: str) -> None:
        post = self._own(message_id)
        with self.world.change():
            self.world.strike_out(message_id)
            self.world.announce(MessageDeleted(chat_id=post.message.chat_id, message_id=message_id, at=self.world.now()))

    def _own(self, message_id: str) -> Post:
        post = self.world.post(message_id)
        if post.message.outgoing:
            raise Forbidden("This message is the agent's.", hint="Choose one that the other side wrote.")
        return post

    def react(self, message_id: str, emoji: str | None, *, sender_id: str | None = None) -> None:
        post = self.world.post(message_id)
        chat = self.world.chat(post.message.chat_id)
        sender = self._sender(chat, sender_id)
        emojis = () if emoji is None else (emoji,)
        with self.world.change():
            self.world.set_reaction(message_id, sender.id, emoji)
            self.world.announce(ReactionChanged(chat_id=chat.id, message_id=message_id, sender_id=sender.id, emojis=emojis, at=self.world.now()))

    def receipt(self, post: Post, status: ReceiptStatus, detail: str | None = None) -> None:
        """Tell our side how far its message got; never back from read to delivered."""
        if post.status is ReceiptStatus.FAILED or (status in _ORDER and _ORDER.index(status) <= _ORDER.index(post.status)):
            return
        message = post.message
        with self.world.change():
            self.world.set_status(message.id, status)
            self.world.announce(ReceiptChanged(chat_id=message.chat_id, message_id=message.id, status=status, at=self.world.now(), detail=detail))

    def read(self, chat_id: str) -> None:
        """The person has the chat open: all our messages there are read."""
        for post in self.world.unread(chat_id):
            self.receipt(post, ReceiptStatus.READ)

    def add_contact(self, name: str) -> Contact:
        name = clean_line(name)
        if not name:
            raise InvalidRequest("The name is empty.", hint="Type a name.")
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:20] or "contact"
        contact = Contact(id=f"{slug}-{secrets.token_hex(3)}", name=name)
        with self.world.change():
            self.world.save_contact(contact)
            self.world.save_chat(self.world.chat(contact.id))
        return contact


def new_id() -> str:
    """Random, so that a new world does not give out the ids of the one before."""
    return secrets.token_hex(8)


def _kind(media: Sequence[Media], location: Location | None) -> MessageKind:
    if media:
        return MessageKind.MEDIA
    return MessageKind.TEXT if location is None else MessageKind.LOCATION

"""What a person can do on the chat page."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from providers.models import Media, MediaKind
from providers.sandbox.login import Login
from providers.sandbox.phone import Phone
from providers.sandbox.world import World


class _Act(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Link(_Act):
    act: Literal["link"]


class Pair(_Act):
    act: Literal["pair"]
    code: str


class Unlink(_Act):
    act: Literal["unlink"]


class Write(_Act):
    act: Literal["write"]
    chat_id: str
    sender_id: str | None = None
    text: str = ""
    reply_to: str | None = None
    file: str | None = None


class Edit(_Act):
    act: Literal["edit"]
    message_id: str
    text: str = Field(min_length=1)


class Delete(_Act):
    act: Literal["delete"]
    message_id: str


class React(_Act):
    act: Literal["react"]
    message_id: str
    sender_id: str | None = None
    emoji: str | None = Field(default=None, min_length=1, max_length=20)


class Read(_Act):
    act: Literal["read"]
    chat_id: str


class AddContact(_Act):
    act: Literal["add_contact"]
    name: str


Act = Link | Pair | Unlink | Write | Edit | Delete | React | Read | AddContact
ACT: TypeAdapter[Act] = TypeAdapter(Annotated[Act, Field(discriminator="act")])


def perform(act: Act, world: World, phone: Phone, login: Login) -> dict[str, Any]:
    """Returns the id of what came into being, if anything did."""
    match act:
        case Link():
            login.scan()
        case Pair():
            login.pair(act.code)
        case Unlink():
            login.unlink("The person unlinked this device on the chat page.")
        case Write():
            media = () if act.file is None else (_media(world, act.file),)
            return {"id": phone.write(act.chat_id, act.text, sender_id=act.sender_id, reply_to=act.reply_to, media=media)}
        case AddContact():
            return {"id": phone.add_contact(act.name).id}
        case _:
            _touch_up(act, phone)
    return {}


def _touch_up(act: Edit | Delete | React | Read, phone: Phone) -> None:
    match act:
        case Edit():
            phone.edit(act.message_id, act.text)
        case Delete():
            phone.delete(act.message_id)
        case React():
            phone.react(act.message_id, act.emoji, sender_id=act.sender_id)
        case Read():
            phone.read(act.chat_id)


def _media(world: World, ref: str) -> Media:
    file = world.file(ref)
    top = file.mime.partition("/")[0]
    kind = MediaKind(top) if top in {"image", "video", "audio"} else MediaKind.DOCUMENT
    return Media(kind=kind, ref=ref, mime=file.mime, size=len(file.content), name=file.name)

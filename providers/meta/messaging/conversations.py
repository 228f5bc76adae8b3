"""What Meta keeps of conversations: whom with, and what was said."""

from collections.abc import Sequence
from datetime import datetime

from providers.errors import InvalidRequest, NotFound
from providers.kit.bounded import bounded_raw
from providers.kit.json import Json, part, parts
from providers.meta.client import GraphClient, segment
from providers.meta.messaging.attachments import MENTIONED, UNSUPPORTED, kept_kind
from providers.meta.words import quoted_of
from providers.models import Chat, ChatKind, Media, MediaKind, Message, MessageKind

_CHATS_PAGE = 50
_CHATS_PAGES = 10
_MESSAGES_PAGE = 50
_PAGES_MAX = 20
_UNSHOWN = "A message whose content Meta does not give out afterwards; its own app shows it."
_SHOWN = ("name", "description", "link")
_FIELDS = "id,created_time,from,to,message,attachments,reply_to"
_SHARES = "shares{id,link,name,description}"
# Each platform has fields that are refused on the other (https://developers.facebook.com/docs/graph-api/reference/message).
_MORE = {"messenger": f",{_SHARES},sticker", "instagram": f",{_SHARES},story,is_unsupported"}


class Conversations:
    """Of one account. Meta allows two calls a second."""

    def __init__(self, graph: GraphClient, account: str, platform: str, ids: set[str]) -> None:
        self._graph = graph
        self._account = account
        self._platform = platform
        self._ids = ids
        self._more = _MORE[platform]

    async def list_chats(self) -> Sequence[Chat]:
        path = f"{self._account}/conversations"
        pages = await self._graph.pages(path, _CHATS_PAGES, platform=self._platform, fields="id,participants", limit=_CHATS_PAGE)
        return [chat for page in pages for one in parts(page, "data") for chat in self._others(one)]

    def _others(self, conversation: Json) -> list[Chat]:
        people = parts(conversation, "participants", "data")
        return [
            Chat(id=str(one["id"]), kind=ChatKind.PRIVATE, title=one.get("name") or one.get("username") or "", username=one.get("username"))
            for one in people
            if str(one["id"]) not in self._ids
        ]

    async def history(self, chat_id: str, *, before: str | None, limit: int) -> Sequence[Message]:
        """Newest first. Raises NotFound where the message `before` is not among the newest thousand."""
        conversation = await self._conversation(chat_id)
        found: list[Message] = []
        is_past = before is None
        after: dict[str, str | int] = {}
        for _ in range(_PAGES_MAX):
            page = await self._page(conversation, after)
            for payload in page["data"]:
                if is_past:
                    found.append(self._message(chat_id, payload))
                is_past = is_past or payload["id"] == before
            after = _next(page)
            if len(found) >= limit or not after:
                break
        if not is_past:
            raise NotFound(f"The message '{before}' is not in what Meta still shows of this chat.", hint="get_messages has what was recorded.")
        return found[:limit]

    async def _page(self, conversation: str, after: dict[str, str | int]) -> Json:
        """Return a page of messages; with less in it where a version of the API does not know all fields."""
        path = f"{segment(conversation)}/messages"
        try:
            return await self._graph.get(path, fields=f"{_FIELDS}{self._more}", limit=_MESSAGES_PAGE, **after)
        except InvalidRequest:
            if not self._more:
                raise
            self._more = ""
            return await self._graph.get(path, fields=_FIELDS, limit=_MESSAGES_PAGE, **after)

    async def _conversation(self, chat_id: str) -> str:
        found = await self._graph.get(f"{self._account}/conversations", platform=self._platform, user_id=chat_id)
        if not found["data"]:
            raise NotFound(f"There is no conversation with '{chat_id[:64]}'.", hint="list_chats shows those there are.")
        return str(found["data"][0]["id"])

    def _message(self, chat_id: str, payload: Json) -> Message:
        sender = part(payload, "from")
        sender_id = str(sender.get("id", chat_id))
        files = parts(payload, "attachments", "data")
        media = tuple(
            Media(kind=kept_kind(one), ref=f"{payload['id']}#{position}#", mime=one.get("mime_type"), name=one.get("name"))
            for position, one in enumerate(files)
        )
        media = media or _seen(payload)
        shared = "\n".join(" ".join(str(one[name]) for name in _SHOWN if one.get(name)) for one in parts(payload, "shares", "data"))
        text = payload.get("message") or shared or _said(payload)
        return Message(
            id=payload["id"],
            chat_id=chat_id,
            at=datetime.fromisoformat(payload["created_time"]),
            outgoing=sender_id in self._ids,
            sender_id=sender_id,
            sender_name=sender.get("name") or sender.get("username") or "",
            kind=MessageKind.MEDIA if media else MessageKind.TEXT if text and not payload.get("is_unsupported") else MessageKind.UNKNOWN,
            text=text or ("" if media else _UNSHOWN),
            reply_to=part(payload, "reply_to").get("mid"),
            quoted=quoted_of(("link", shared if text != shared else "")),
            media=media,
            raw=bounded_raw(payload),
        )


def _seen(payload: Json) -> tuple[Media, ...]:
    """Return a sticker, or the story that mentions this account or that is answered."""
    story = part(payload, "story", "mention").get("link") or part(payload, "story", "reply_to").get("link")
    found = ((MediaKind.STICKER, payload.get("sticker"), None), (MediaKind.IMAGE, story, "story"))
    return tuple(Media(kind=kind, ref=f"{payload['id']}#0#{url}", name=name) for kind, url, name in found if url)


def _said(payload: Json) -> str:
    """Return words for what a message does instead of saying something; none where it is a file."""
    if part(payload, "story", "mention"):
        return MENTIONED
    return UNSUPPORTED if payload.get("is_unsupported") else ""


def _next(page: Json) -> dict[str, str | int]:
    paging = page.get("paging", {})
    return {"after": paging["cursors"]["after"]} if "next" in paging else {}

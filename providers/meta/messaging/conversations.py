"""What Meta keeps of conversations: whom with, and what was said."""

from collections.abc import Sequence
from datetime import datetime

from providers.errors import NotFound
from providers.kit.bounded import bounded_raw
from providers.kit.json import Json, part, parts
from providers.meta.client import GraphClient, segment
from providers.meta.messaging.attachments import kept_kind
from providers.models import Chat, ChatKind, Media, Message, MessageKind

_CHATS_PAGE = 50
_CHATS_MAX = 500
_MESSAGES_PAGE = 50
_PAGES_MAX = 20
_FIELDS = "id,created_time,from,to,message,attachments,reply_to"


class Conversations:
    """Of one account. Meta allows two calls a second."""

    def __init__(self, graph: GraphClient, account: str, platform: str, ids: set[str]) -> None:
        self._graph = graph
        self._account = account
        self._platform = platform
        self._ids = ids

    async def list_chats(self) -> Sequence[Chat]:
        chats: list[Chat] = []
        after: dict[str, str | int] = {}
        while True:
            page = await self._graph.get(
                f"{self._account}/conversations", platform=self._platform, fields="id,participants", limit=_CHATS_PAGE, **after
            )
            chats += [chat for one in page["data"] for chat in self._others(one)]
            after = _next(page)
            if not after or len(chats) >= _CHATS_MAX:
                return chats

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
            page = await self._graph.get(f"{segment(conversation)}/messages", fields=_FIELDS, limit=_MESSAGES_PAGE, **after)
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
        text = payload.get("message") or ""
        return Message(
            id=payload["id"],
            chat_id=chat_id,
            at=datetime.fromisoformat(payload["created_time"]),
            outgoing=sender_id in self._ids,
            sender_id=sender_id,
            sender_name=sender.get("name") or sender.get("username") or "",
            kind=MessageKind.MEDIA if media else MessageKind.TEXT if text else MessageKind.UNKNOWN,
            text=text,
            reply_to=part(payload, "reply_to").get("mid"),
            media=media,
            raw=bounded_raw(payload),
        )


def _next(page: Json) -> dict[str, str | int]:
    paging = page.get("paging", {})
    return {"after": paging["cursors"]["after"]} if "next" in paging else {}

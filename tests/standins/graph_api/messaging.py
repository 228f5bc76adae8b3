"""A Facebook Page's Messenger, or an Instagram account."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.standins.graph_api.account import DAY, Account, Call, Json, Person, StoredFile, require_fields
from tests.standins.graph_api.refusal import Refusal, bad_parameter, no_such_object

_BODY = frozenset({"recipient", "message", "messaging_type", "tag", "sender_action", "payload", "reply_to", "notification_type"})
_ACTIONS = {"typing_on", "typing_off", "mark_seen", "react", "unreact"}
_CHOICES_MAX = 13
_FIELDS = frozenset({"id", "created_time", "from", "to", "message", "attachments", "reply_to", "reactions", "shares"})
_SHARED = frozenset({"share", "fallback", "template", "ig_post", "post"})
_TITLE_MAX = 20


class MessagingAccount(Account):
    """`path_id` is whose path is used: the account's own, or the linked Page's."""

    def __init__(self, kind: str, id: str, token: str, url: Callable[[], str], changed: Callable[[], None], *, path_id: str) -> None:
        super().__init__(id, token, url, changed)
        self.kind = kind
        self.path_id = path_id
        self.app_scoped_id = f"9{id}"
        """By Instagram Login an account has two ids."""
        self.name = "Lucky Shrub"
        self.seen: set[str] = set()
        self.order: list[str] = []
        self.names_are_hidden = False
        self.receipts = True
        self.is_routed = True
        """Whether Conversation Routing is on, and lets our app take conversations."""
        self.elsewhere: dict[str, str] = {}
        """The app that has the conversation with a person, where it is not ours."""
        self.controls: list[tuple[str, Json]] = []

    @property
    def is_page(self) -> bool:
        return self.kind == "page"

    # What people do

    def person(self, name: str = "Ann Lee", *, wrote: bool = True) -> str:
        number = f"77000{next(self._numbers)}"
        self.people[number] = Person(number, name, time.time() if wrote else None)
        return number

    def says(self, person: str, **message: Any) -> str:
        """A message of any content; its id."""
        self.people[person].last_wrote = time.time()
        return self._keep(person, by=person, **message)

    def writes(self, person: str, text: str, *, reply_to: str | None = None, **fields: Any) -> str:
        return self.says(person, text=text, **({"reply_to": {"mid": reply_to}} if reply_to else {}), **fields)

    def sends_file(self, person: str, file: StoredFile, kind: str = "image", text: str = "") -> str:
        content: Json = {"attachments": [{"type": kind, "payload": {"url": self.address(file)}}]} | ({"text": text} if text else {})
        return self.says(person, **content)

    def reacts(self, person: str, message_id: str, emoji: str | None) -> None:
        reaction: Json = {"action": "unreact"} if emoji is None else {"action": "react", "reaction": "other", "emoji": emoji}
        self.event(person, reaction={"mid": message_id, **reaction})

    def event(self, person: str, *, by_us: bool = False, **fields: Any) -> None:
        sender, recipient = (self.id, person) if by_us else (person, self.id)
        self.queue(self.delivery([{"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": _now(), **fields}]))

    def delivery(self, items: list[Json]) -> Json:
        return {"object": self.kind, "entry": [{"id": self.id, "time": _now(), "messaging": items}]}

    def _keep(self, person: str, *, by: str, **message: Any) -> str:
        mid = f"m_{next(self._numbers)}"
        self.messages[mid] = {**message, "mid": mid, "chat": person, "by": by, "at": time.time()}
        self.order.append(mid)
        more: Json = {"is_echo": True, "app_id": 1517776481860111} if by == self.id else {}
        self.event(person, by_us=by == self.id, message={"mid": mid, **{k: v for k, v in message.items() if k != "file"}, **more})
        return mid

    # What the server asks

    def answer(self, call: Call) -> Json:
        match call.method, call.path.split("/"):
            case "GET", ["me"]:
                return self._me()
            case "GET", [self.id]:
                return {"id": self.id, "name": self.name, "username": "luckyshrub"}
            case "POST", [self.path_id, "messages"]:
                return self._message(call.body)
            case "POST", [self.path_id, control] if control.endswith("_thread_control"):
                return self._control(control.removesuffix("_thread_control"), call.body)
            case "POST", [self.path_id, "message_attachments"]:
                return self._upload(call)
            case "GET", [self.path_id, "conversations"]:
                return self._conversations(call)
            case "GET", [conversation, "messages"] if conversation.startswith("t_"):
                return self._history(call, conversation.removeprefix("t_"))
            case "GET", [mid] if mid in self.messages:
                return {"id": mid, "attachments": {"data": self._attachments(self.messages[mid])}}
            case "GET", [person] if person in self.people and not self.names_are_hidden:
                return self._profile(self.people[person])
            case _:
                raise no_such_object(call.path.partition("/")[0])

    def _me(self) -> Json:
        if self.is_page:
            return {"id": self.id, "name": self.name}
        return {"id": self.app_scoped_id, "user_id": self.id, "name": self.name, "username": "luckyshrub"}

    def _profile(self, person: Person) -> Json:
        if not self.is_page:
            return {"name": person.name, "username": person.name.lower().replace(" ", "."), "id": person.id}
        first, _, last = person.name.partition(" ")
        return {"first_name": first, "last_name": last, "id": person.id}

    def _message(self, body: Json) -> Json:
        require_fields(body, _BODY)
        if ("message" in body) == ("sender_action" in body):
            raise bad_parameter("Cannot send both message and state at the same time.", subcode=2018004)
        person = self._recipient(body)
        if "sender_action" in body:
            return self._act(person, body)
        if self.is_page and body.get("messaging_type") not in {"RESPONSE", "UPDATE", "MESSAGE_TAG"}:
            raise bad_parameter("The parameter messaging_type is required.")
        if ("tag" in body) != (body.get("messaging_type") == "MESSAGE_TAG"):
            raise bad_parameter("messaging_type MESSAGE_TAG goes with a tag.")
        if body.get("tag", "HUMAN_AGENT") != "HUMAN_AGENT":
            raise bad_parameter("Invalid message tag.")
        if person.id in self.elsewhere:
            raise Refusal(403, 10, "(#10) Message Not Sent: Another app is controlling this thread now.", subcode=2018300)
        self._check_window(person, body)
        if "reply_to" in body and body["reply_to"]["mid"] not in self.messages:
            raise bad_parameter("Invalid reply_to.")
        return self._send(person, body)

    def _recipient(self, body: Json) -> Person:
        number = body.get("recipient", {}).get("id")
        if not isinstance(number, str):
            raise bad_parameter("The parameter recipient is required.")
        if number not in self.people:
            if self.is_page:
                raise bad_parameter("No matching user found", subcode=2018001)
            raise bad_parameter("The requested user cannot be found.", subcode=2534014)
        return self.people[number]

    def _check_window(self, person: Person, body: Json) -> None:
        limit = 7 * DAY if "tag" in body else DAY
        if person.last_wrote is None or time.time() - person.last_wrote >= limit:
            subcode = 2018278 if self.is_page else 2534022
            raise Refusal(400, 10, "(#10) This message is sent outside of allowed window.", subcode=subcode)

    def _control(self, action: str, body: Json) -> Json:
        """Give the conversation to another app, or get it back. By Instagram Login nothing can be taken."""
        require_fields(body, frozenset({"recipient", "metadata"} | ({"target_app_id"} if action == "pass" else set[str]())))
        person = self._recipient(body)
        if action in {"take", "request"} and not self.is_page and self.path_id == self.id:
            raise no_such_object(f"{action}_thread_control")
        if action == "take" and not self.is_routed:
            raise Refusal(400, 27, "(#27) Take thread control is not supported when Conversation Routing is not enabled")
        if action == "pass" and not str(body.get("target_app_id", "")).isdecimal():
            raise bad_parameter("The parameter target_app_id is required.")
        if action in {"pass", "release"}:
            if person.id in self.elsewhere:
                raise Refusal(400, 10, "(#10) Only the thread owner may do this.", subcode=2018300)
            self.elsewhere[person.id] = str(body.get("target_app_id", "idle"))
        elif action == "take":
            self.elsewhere.pop(person.id, None)
        self.controls.append((action, body))
        return {"success": True}

    def _act(self, person: Person, body: Json) -> Json:
        action = body["sender_action"]
        if action not in _ACTIONS:
            raise bad_parameter("Invalid sender_action.")
        if action in {"react", "unreact"}:
            mid = body["payload"]["message_id"]
            if mid not in self.messages:
                raise bad_parameter("Invalid message id.")
            self.reactions.pop(mid, None)
            if action == "react":
                given = str(body["payload"]["reaction"])
                self.reactions[mid] = "❤️" if given == "love" else given
        elif action == "mark_seen":
            self.seen |= {mid for mid, message in self.messages.items() if message["chat"] == person.id}
        elif action == "typing_on":
            self.typing.add(person.id)
        else:
            self.typing.discard(person.id)
        return {"recipient_id": person.id}

    def _send(self, person: Person, body: Json) -> Json:
        message = body["message"]
        require_fields(message, frozenset({"text", "attachment", "quick_replies"} | ({"metadata"} if self.is_page else set())))
        if ("text" in message) == ("attachment" in message):
            raise bad_parameter("A message has a text or an attachment.")
        if "text" in message:
            self._check_text(message["text"])
        self._check_choices(message.get("quick_replies", []))
        kept: Json = {"text": message["text"]} if "text" in message else self._attached(message["attachment"])
        if "metadata" in message:
            kept["metadata"] = message["metadata"]
        if "reply_to" in body:
            kept["reply_to"] = body["reply_to"]
        self.sent.append(body)
        mid = self._keep(person.id, by=self.id, **kept)
        self.messages[mid]["quick_replies"] = message.get("quick_replies", [])
        if self.receipts:
            told: Json = {"delivery": {"mids": [mid], "watermark": _now()}} if self.is_page else {"read": {"mid": mid}}
            self.event(person.id, **told)
        return {"recipient_id": person.id, "message_id": mid}

    def _check_text(self, text: Any) -> None:
        size, limit = (len(text), 2000) if self.is_page else (len(text.encode()), 1000)
        if not text or size > limit:
            raise bad_parameter(f"Length of param message[text] must be between 1 and {limit}")

    def _check_choices(self, choices: list[Json]) -> None:
        if len(choices) > _CHOICES_MAX or any(len(one["title"]) > _TITLE_MAX or one["content_type"] != "text" for one in choices):
            raise bad_parameter("Invalid quick replies.")

    def _attached(self, attachment: Json) -> Json:
        payload = attachment["payload"]
        if "url" in payload:
            return {"attachments": [{"type": attachment["type"], "payload": {"url": payload["url"]}}]}
        file = self.files.get(payload.get("attachment_id", ""))
        if file is None:
            raise bad_parameter("Invalid attachment id.", subcode=2018074)
        return {"attachments": [{"type": attachment["type"], "payload": {"url": self.address(file)}}], "file": file}

    def _upload(self, call: Call) -> Json:
        if not self.is_page and (call.body.get("platform") != "instagram" or self.path_id == self.id):
            raise bad_parameter("Unsupported platform.")
        file = call.files.get("filedata")
        message = json.loads(call.body.get("message", "{}"))
        if file is None or message.get("attachment", {}).get("type") not in {"image", "video", "audio", "file"}:
            raise bad_parameter("Upload attachment failure.", subcode=2018047)
        if len(file.content) > 25 * 1024 * 1024:
            raise bad_parameter("Attachment size exceeds allowable limit", subcode=2018109)
        return {"attachment_id": self.store(file.content, file.name, file.mime).id}

    def _attachments(self, message: Json) -> list[Json]:
        found: list[Json] = []
        for one in message.get("attachments", []):
            if one["type"] in _SHARED | {"sticker", "story_mention"}:
                continue
            file = self.files.get(one["payload"]["url"].rpartition("/")[2])
            url = {"url": self.address(file)} if file else {}
            found.append({"id": "1", "mime_type": file.mime if file else "", "name": file.name if file else "", "image_data": url})
        return found

    def _conversations(self, call: Call) -> Json:
        if call.query.get("platform") != ("messenger" if self.is_page else "instagram"):
            raise bad_parameter("Invalid platform.")
        wanted = call.query.get("user_id")
        chats = dict.fromkeys(message["chat"] for message in self.messages.values() if wanted in {None, message["chat"]})
        me = {"id": self.id, "name": self.name}
        data = [{"id": f"t_{chat}", "participants": {"data": [{"id": chat, "name": self.people[chat].name}, me]}} for chat in chats]
        return {"data": data, "paging": {"cursors": {"after": "x"}}}

    def _history(self, call: Call, chat: str) -> Json:
        known = _FIELDS | ({"sticker", "tags"} if self.is_page else {"story", "is_unsupported"})
        wanted = set(re.sub(r"\{[^}]*\}", "", call.query.get("fields", "id,created_time")).split(","))
        if unknown := sorted(wanted - known):
            raise bad_parameter(f"Tried accessing nonexisting field ({unknown[0]}) on node type (Message)")
        mids = [mid for mid in reversed(self.order) if self.messages[mid]["chat"] == chat]
        start, size = int(call.query.get("after", "0")), 2
        data = [{key: one for key, one in self._told(self.messages[mid]).items() if key in wanted} for mid in mids[start : start + size]]
        page: Json = {"data": data, "paging": {"cursors": {"after": str(start + size)}}}
        if start + size < len(mids):
            page["paging"]["next"] = "https://graph.example/next"
        return page

    def _told(self, message: Json) -> Json:
        at = datetime.fromtimestamp(message["at"], UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
        told: Json = {"id": message["mid"], "created_time": at, "from": {"id": message["by"]}, "message": message.get("text", "")}
        if files := self._attachments(message):
            told["attachments"] = {"data": files}
        for one in message.get("attachments", []):
            payload = one.get("payload", {})
            if one["type"] in _SHARED:
                told["shares"] = {"data": [{"link": payload.get("url"), "name": payload.get("title")}]}
            elif one["type"] == "sticker":
                told["sticker"] = payload["url"]
            elif one["type"] == "story_mention":
                told["story"] = {"mention": {"link": payload["url"], "id": "1"}}
        if message.get("is_unsupported"):
            told["is_unsupported"] = True
        return told


def _now() -> int:
    return int(time.time() * 1000)

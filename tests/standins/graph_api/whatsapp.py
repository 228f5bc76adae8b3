"""A number of the WhatsApp Cloud API."""

import re
import time
from collections.abc import Callable
from typing import Any

from tests.standins.graph_api import spec
from tests.standins.graph_api.account import DAY, Account, Call, Json, Person, StoredFile, require_fields
from tests.standins.graph_api.refusal import Refusal, bad_parameter, no_such_object

_FIELDS = frozenset({"messaging_product", "recipient_type", "to", "recipient", "type", "context", "biz_opaque_callback_data", "status", "message_id",
                     "typing_indicator"})  # fmt: skip
_MEDIA = {"image": 5, "video": 16, "audio": 16, "document": 100, "sticker": 0.5}
_TEXT_MAX = 4096


class WhatsAppNumber(Account):
    kind = "whatsapp_business_account"

    def __init__(self, id: str, token: str, url: Callable[[], str], changed: Callable[[], None]) -> None:
        super().__init__(id, token, url, changed)
        self.business_account = "102290129340398"
        self.display = "15550783881"
        self.shown_as = "+1 555-078-3881"
        self.violations: list[str] = []
        self.read: set[str] = set()
        self.templates: list[Json] = [
            template("hello_world", "en_US", "Welcome!"),
            template("order_ready", "en", "Hello {{1}}, your order {{2}} is ready."),
        ]
        self.receipts = True
        self.may_take = True
        """Whether our app is the one that people are passed to."""
        self.elsewhere: set[str] = set()
        """People whose conversation another app, or the Meta Business Agent, has."""
        self.groups: dict[str, Json] = {}
        """Subject, description, participants and link of each group, and who asks to join it, by Meta's ids of the questions."""
        self.may_have_groups = True
        """Whether it is an Official Business Account, which alone may make groups."""
        self.blocked: list[str] = []
        self.wa_ids: dict[str, str] = {}
        """Numbers that WhatsApp knows under another one."""

    # What people do

    def person(self, name: str = "Ann", *, phone: str | None = None, wrote: bool = True) -> str:
        phone = phone or f"1650555{next(self._numbers)}"
        self.people[phone] = Person(phone, name, time.time() if wrote else None)
        return phone

    def says(self, person: str, *, scoped: str | None = None, phone: bool = True, **fields: Any) -> str:
        """A message of any content; its id. `scoped` adds the business-scoped id, `phone=False` leaves the number out."""
        number = f"wamid.IN{next(self._numbers)}"
        who = self.people[person]
        who.last_wrote = time.time()
        contact: Json = {"profile": {"name": who.name}} | ({"wa_id": person} if phone else {}) | ({"user_id": scoped} if scoped else {})
        author: Json = ({"from": person} if phone else {}) | ({"from_user_id": scoped} if scoped else {})
        message = {**author, "id": number, "timestamp": str(int(time.time())), **fields}
        self.messages[number] = message | {"from": person}
        self.queue(self.delivery({"contacts": [contact], "messages": [message]}))
        return number

    def writes(self, person: str, text: str, *, reply_to: str | None = None, **fields: Any) -> str:
        if reply_to:
            fields["context"] = {"from": self.display, "id": reply_to}
        content: Json = {"type": "text", "text": {"body": text}, **fields}
        return self.says(person, **content)

    def sends_file(self, person: str, file: StoredFile, caption: str = "", kind: str = "image") -> str:
        content = {"id": file.id, "mime_type": file.mime, "sha256": "x"} | ({"caption": caption} if caption else {})
        message: Json = {"type": kind, kind: content}
        return self.says(person, **message)

    def delivery(self, value: Json, field: str = "messages") -> Json:
        metadata = {"display_phone_number": self.display, "phone_number_id": self.id}
        change = {"value": {"messaging_product": "whatsapp", "metadata": metadata, **value}, "field": field}
        return {"object": self.kind, "entry": [{"id": self.business_account, "changes": [change]}]}

    def tells(self, message_id: str, status: str, **more: Any) -> None:
        """A status of a message of ours."""
        message = self.messages[message_id]
        told = {"id": message_id, "status": status, "timestamp": str(int(time.time())), "recipient_id": message["to_phone"], **more}
        if mark := message.get("biz_opaque_callback_data"):
            told["biz_opaque_callback_data"] = mark
        self.queue(self.delivery({"statuses": [told]}))

    def is_renamed(self, old: str, new: str) -> None:
        """A person has another number from now on; the old one is nobody's until somebody writes from it."""
        who = self.people.pop(old, None)
        if who is not None:
            self.people[new] = Person(new, who.name, who.last_wrote)

    # What the server asks

    def judge(self, call: Call) -> None:
        if (call.method, call.path) == ("POST", f"{self.id}/messages"):
            self._judge(call.body)

    def answer(self, call: Call) -> Json:
        match call.method, call.path.split("/"):
            case "GET", [self.id]:
                return {"id": self.id, "display_phone_number": self.shown_as, "verified_name": "Lucky Shrub"}
            case "GET", [self.business_account, "message_templates"]:
                return self._templates(call)
            case "GET", [number] if number in self.files:
                return self._file(call, self.files[number])
            case _, [self.id, "block_users"]:
                return self._block(call)
            case _, [self.id, "groups"]:
                return self._groups(call)
            case _, [group, *rest] if group in self.groups:
                return self._group(call, group, rest)
            case "POST", [self.id, "thread_control"]:
                return self._control(call.body)
            case "POST", [self.id, "media"]:
                return self._upload(call)
            case "POST", [self.id, "messages"]:
                return self._message(call.body)
            case _:
                raise no_such_object(call.path.partition("/")[0])

    def _block(self, call: Call) -> Json:
        """Source: Meta's Block Users API: only those can be blocked who wrote within a day."""
        if call.method == "GET":
            return {"data": [{"messaging_product": "whatsapp", "wa_id": one} for one in self.blocked], "paging": {"cursors": {}}}
        require_fields(call.body, frozenset({"messaging_product", "block_users"}))
        (asked,) = call.body["block_users"]
        person = self.people.get(asked["user"].lstrip("+"))
        if call.method == "DELETE":
            if person is not None and person.id in self.blocked:
                self.blocked.remove(person.id)
            return {"messaging_product": "whatsapp", "block_users": {"removed_users": [{"input": asked["user"], "wa_id": asked["user"]}]}}
        if person is None or person.last_wrote is None or time.time() - person.last_wrote > DAY:
            error = {"message": "(#139100) Failed to block/unblock users", "code": 139100, "error_data": {"details": "Re-engagement required"}}
            failed = [{"input": asked["user"], "wa_id": asked["user"], "errors": [error]}]
            return {"messaging_product": "whatsapp", "block_users": {"added_users": [], "failed_users": failed}}
        self.blocked.append(person.id)
        return {"messaging_product": "whatsapp", "block_users": {"added_users": [{"input": asked["user"], "wa_id": person.id}]}}

    def _groups(self, call: Call) -> Json:
        if call.method == "GET":
            groups = [{"id": id, "subject": group["subject"], "created_at": "1755548877"} for id, group in self.groups.items()]
            return {"data": {"groups": groups}, "paging": {"cursors": {}}}
        require_fields(call.body, frozenset({"messaging_product", "subject", "description", "join_approval_mode"}))
        if not self.may_have_groups:
            raise Refusal(400, 131215, "(#131215) Groups feature is not enabled for this phone number")
        request, id = f"R{next(self._numbers)}", f"Y2FwaV9ncm91cDo{next(self._numbers)}"
        link = f"https://chat.whatsapp.com/L{next(self._numbers)}"
        self.groups[id] = {"subject": call.body["subject"], "description": "", "participants": [], "link": link, "asking": {}}
        told = {"timestamp": str(int(time.time())), "group_id": id, "type": "group_create", "request_id": request, "subject": call.body["subject"]}
        self.queue(self.delivery({"groups": [told | {"invite_link": link}]}, "group_lifecycle_update"))
        return {"messaging_product": "whatsapp", "request_id": request}

    def _group(self, call: Call, id: str, rest: list[str]) -> Json:
        """Source: Meta's Group management."""
        group = self.groups[id]
        ok: Json = {"messaging_product": "whatsapp", "success": True}
        match call.method, rest:
            case "GET", []:
                shown = {"id": id, "messaging_product": "whatsapp", "subject": group["subject"], "description": group["description"]}
                return shown | {"participants": [{"wa_id": one} for one in group["participants"]]}
            case "POST", []:
                require_fields(call.body, frozenset({"messaging_product", "subject", "description"}))
                group |= {name: call.body[name] for name in ("subject", "description") if name in call.body}
                return ok
            case "DELETE", []:
                del self.groups[id]
                return ok
            case "GET", ["invite_link"]:
                return {"messaging_product": "whatsapp", "invite_link": group["link"]}
            case "POST", ["invite_link"]:
                group["link"] = f"https://chat.whatsapp.com/L{next(self._numbers)}"
                return {"messaging_product": "whatsapp", "invite_link": group["link"]}
            case "DELETE", ["participants"]:
                gone = {one["user"] for one in call.body["participants"]}
                if not 0 < len(gone) <= 8 or gone - set(group["participants"]):
                    raise bad_parameter("Invalid participants")
                group["participants"] = [one for one in group["participants"] if one not in gone]
                return {"messaging_product": "whatsapp", "request_id": f"R{next(self._numbers)}"}
            case "GET", ["join_requests"]:
                return {"data": [{"join_request_id": one, "wa_id": who, "creation_timestamp": 1755548877} for one, who in group["asking"].items()]}
            case "POST" | "DELETE", ["join_requests"]:
                done = [one for one in call.body["join_requests"] if one in group["asking"]]
                people = [group["asking"].pop(one) for one in done]
                group["participants"] += people if call.method == "POST" else []
                name = "approved_join_requests" if call.method == "POST" else "rejected_join_requests"
                return {"messaging_product": "whatsapp", name: done, "failed_join_requests": []}
            case _:
                raise no_such_object(id)

    def joins(self, group: str, person: str) -> None:
        """A person joins a group by its link."""
        self.groups[group]["participants"].append(person)

    def _templates(self, call: Call) -> Json:
        size = 1
        start = int(call.query.get("after", "0"))
        page: Json = {"data": self.templates[start : start + size], "paging": {"cursors": {"after": str(start + size)}}}
        if start + size < len(self.templates):
            page["paging"]["next"] = "https://graph.example/next"
        return page

    def _file(self, call: Call, file: StoredFile) -> Json:
        if call.query.get("phone_number_id", self.id) != self.id:
            raise no_such_object(file.id)
        return {
            "messaging_product": "whatsapp",
            "url": self.address(file),
            "mime_type": file.mime,
            "sha256": "x",
            "file_size": str(len(file.content)),
            "id": file.id,
        }

    def _upload(self, call: Call) -> Json:
        file = call.files.get("file")
        if file is None or call.body.get("messaging_product") != "whatsapp":
            raise bad_parameter("The parameter messaging_product is required.")
        return {"id": self.store(file.content, file.name, file.mime).id}

    def _judge(self, body: Json) -> None:
        """Refuses, and remembers, a message of a form that no program should ever send."""
        if body.get("messaging_product") != "whatsapp":
            raise bad_parameter("The parameter messaging_product is required.")
        if "status" in body:
            require_fields(body, frozenset({"messaging_product", "status", "message_id", "typing_indicator"}))
            return
        require_fields(body, _FIELDS | {body.get("type", "text")})
        if (described := spec.load()) is not None and (found := described.faults(body)):
            self.violations += found
            raise bad_parameter("Invalid parameter", details=found[0])

    def _message(self, body: Json) -> Json:
        self._judge(body)
        if "status" in body:
            return self._mark(body)
        kind = body.get("type", "text")
        person = self._recipient(body)
        if kind not in body:
            raise Refusal(400, 131008, "(#131008) Required parameter is missing", details=f"Parameter '{kind}' is mandatory for type '{kind}'")
        if person.id in self.elsewhere:
            raise Refusal(403, 10, "(#10) Another app is controlling this thread now.", subcode=2018300)
        self._check_context(body)
        self._check_window(person, kind)
        content = self._content(kind, body[kind])
        return self._sent(body, person, content)

    def _control(self, body: Json) -> Json:
        """Source: Meta's Thread Control (Cloud API)."""
        require_fields(body, frozenset({"messaging_product", "to", "recipient", "action", "metadata", "control_pass"}))
        person = self._recipient(body)
        action = body.get("action")
        is_to_agent = action == "pass" and body.get("control_pass") == {"target_role": "ai_agent"}
        if action not in {"take", "pass", "release"} or ("control_pass" in body and not is_to_agent):
            raise bad_parameter("Invalid action.")
        if action == "take":
            if not self.may_take:
                raise Refusal(400, 100, "(#100) This app may not take thread control.", subcode=2494191)
            self.elsewhere.discard(person.id)
        elif person.id in self.elsewhere:
            raise Refusal(400, 100, "(#100) This app does not have thread control.", subcode=2494191)
        else:
            self.elsewhere.add(person.id)
        return {"messaging_product": "whatsapp", "request_id": "r1"}

    def _mark(self, body: Json) -> Json:
        message = self.messages.get(body.get("message_id", ""))
        if body["status"] != "read" or message is None or "from" not in message:
            details = "Please provide a valid wamid from a received message"
            raise Refusal(400, 131009, "(#131009) Parameter value is not valid", details=details)
        self.read.add(message["id"])
        if "typing_indicator" in body:
            if body["typing_indicator"] != {"type": "text"}:
                raise bad_parameter("Invalid typing indicator")
            self.typing.add(message["from"])
        return {"success": True}

    def _recipient(self, body: Json) -> Person:
        if ("to" in body) == ("recipient" in body):
            raise bad_parameter("The parameter to is required.")
        if "to" in body and not re.fullmatch(r"\d{5,15}", body["to"]):
            raise bad_parameter("Invalid parameter", details="to is no phone number")
        if "recipient" in body and not re.fullmatch(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}", body["recipient"]):
            raise bad_parameter("Invalid parameter", details="recipient is no user id")
        to = str(body.get("to") or body["recipient"])
        person = self.people.get(self.wa_ids.get(to, to))
        if person is None:
            raise Refusal(400, 131026, "(#131026) Message undeliverable", details="Message Undeliverable.")
        return person

    def _check_context(self, body: Json) -> None:
        context = body.get("context")
        if context is not None and context.get("message_id") not in self.messages:
            raise Refusal(400, 131009, "(#131009) Parameter value is not valid", details="context.message_id is unknown")

    def _check_window(self, person: Person, kind: str) -> None:
        is_open = person.last_wrote is not None and time.time() - person.last_wrote < DAY
        if kind != "template" and not is_open:
            details = "Message failed to send because more than 24 hours have passed since the customer last replied to this number."
            raise Refusal(400, 131047, "(#131047) Re-engagement message", details=details)

    def _content(self, kind: str, content: Any) -> Json:
        """What is seen of it, as text and file."""
        if kind == "text":
            if not isinstance(content.get("body"), str) or not content["body"].strip():
                raise bad_parameter("The parameter text['body'] is required.")
            if len(content["body"]) > _TEXT_MAX:
                raise bad_parameter("Param text['body'] must be at most 4096 characters long.")
            return {"text": content["body"]}
        if kind in _MEDIA:
            return self._media(kind, content)
        if kind == "template":
            return {"text": self._filled(content)}
        if kind == "reaction":
            if content["message_id"] not in self.messages:
                raise Refusal(400, 131009, "(#131009) Parameter value is not valid", details="Message to react to is unknown.")
            return {}
        return {"text": content.get("body", {}).get("text", "") if isinstance(content, dict) else ""}

    def _media(self, kind: str, content: Json) -> Json:
        if "link" in content:
            return {"text": content.get("caption", ""), "file": None}
        file = self.files.get(content.get("id", ""))
        if file is None or file.expired:
            raise Refusal(400, 131053, "(#131053) Media upload error", details="Media id is unknown or expired")
        if len(file.content) > _MEDIA[kind] * 1024 * 1024:
            raise Refusal(400, 131053, "(#131053) Media upload error", details=f"{kind} file is too big")
        return {"text": content.get("caption", ""), "file": file.content}

    def _filled(self, use: Json) -> str:
        found = next((one for one in self.templates if (one["name"], one["language"]) == (use["name"], use["language"]["code"])), None)
        if found is None:
            details = f"template name ({use['name']}) does not exist in {use['language']['code']}"
            raise Refusal(404, 132001, "(#132001) Template name does not exist in the translation", details=details)
        described = {component["type"].lower(): component for component in found["components"]}
        text = described["body"]["text"]
        components: list[Json] = use.get("components", [])
        self._judge_header(described.get("header"), [one for one in components if one["type"] == "header"])
        self._judge_buttons(described.get("buttons", {}).get("buttons", []), [one for one in components if one["type"] == "button"])
        given = [parameter for component in components if component["type"] == "body" for parameter in component["parameters"]]
        if len(given) != text.count("{{"):
            raise Refusal(400, 132000, "(#132000) Number of parameters does not match the expected number of params")
        for position, parameter in enumerate(given, 1):
            name = parameter.get("parameter_name", str(position))
            if f"{{{{{name}}}}}" not in text:
                raise Refusal(400, 132000, "(#132000) Parameter name is missing or wrong")
            text = text.replace(f"{{{{{name}}}}}", parameter["text"])
        return text

    def _judge_header(self, described: Json | None, given: list[Json]) -> None:
        kind = "" if described is None else described["format"].lower()
        wants = kind in _MEDIA or (kind == "text" and "{{" in (described or {})["text"])
        if len(given) != wants or any(one["parameters"][0]["type"] != kind for one in given):
            raise Refusal(400, 132012, "(#132012) Parameter format does not match format in the created template", details=f"header: {kind}")
        if kind in _MEDIA:
            self._media(kind, given[0]["parameters"][0][kind])

    def _judge_buttons(self, described: list[Json], given: list[Json]) -> None:
        """An address that ends with a placeholder wants its end; a quick reply may bring its own answer."""
        values = {"URL": "text", "QUICK_REPLY": "payload", "COPY_CODE": "coupon_code"}
        for one in given:
            button = described[int(one["index"])] if int(one["index"]) < len(described) else {}
            if one["sub_type"].upper() != button.get("type") or not one["parameters"][0].get(values[button["type"]]):
                raise Refusal(400, 132012, "(#132012) Parameter format does not match format in the created template", details="buttons")
        wanted = {str(place) for place, button in enumerate(described) if "{{" in button.get("url", "")}
        if wanted - {one["index"] for one in given}:
            raise Refusal(400, 131008, "(#131008) Required parameter is missing", details="Button requires a parameter")

    def _sent(self, body: Json, person: Person, content: Json) -> Json:
        number = f"wamid.OUT{next(self._numbers)}"
        if body["type"] == "reaction":
            reaction = body["reaction"]
            self.reactions.pop(reaction["message_id"], None)
            if reaction["emoji"]:
                self.reactions[reaction["message_id"]] = reaction["emoji"]
        else:
            self.messages[number] = {**body, "seen": content, "id": number, "to_phone": person.id}
            self.sent.append(body)
            if self.receipts:
                self.tells(number, "sent")
        contact = {"input": body.get("to") or body.get("recipient"), "wa_id": person.id}
        return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": number}]}


def template(name: str, language: str, text: str) -> Json:
    body = {"type": "BODY", "text": text}
    return {"name": name, "language": language, "status": "APPROVED", "category": "UTILITY", "components": [body], "id": "1"}

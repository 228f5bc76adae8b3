"""Promises about what each messenger brings, tried through the whole application with inputs of their own."""

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.cases.expectations import heard, stored
from tests.cases.place import Place
from tests.cases.steps import fed

pytestmark = pytest.mark.anyio

Json = dict[str, Any]

AT = 1790000000
"""A time that is taken for now."""
DAYS = 86_400
ANN, PAGE, PERSON = "15550050001", "220000000000001", "9001"


def whatsapp(at: int = AT, **value: Any) -> Json:
    metadata = {"display_phone_number": "15550009999", "phone_number_id": "106500000000001"}
    contacts = [{"profile": {"name": "Ann Lee"}, "wa_id": ANN}]
    change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": metadata, "contacts": contacts, **value}}
    return {"webhook": {"object": "whatsapp_business_account", "entry": [{"id": "880000000000001", "changes": [change]}]}}


def written(text: str, id: str = "wamid.IN1", at: int = AT) -> Json:
    return whatsapp(messages=[{"from": ANN, "id": id, "timestamp": str(at), "type": "text", "text": {"body": text}}])


def answers(method: str, *bodies: Json, status: int = 200) -> Json:
    return {"answers": {"method": method, "status": status, "bodies": list(bodies)}}


def send(to: str, message: str, **more: Any) -> Json:
    return {"call": {"operation": "send_message", "arguments": {"to": to, "message": message, **more}}}


def page(box: str = "messaging", **item: Any) -> Json:
    between = {"sender": {"id": PERSON}, "recipient": {"id": PAGE}, "timestamp": AT * 1000}
    return {"webhook": {"object": "page", "entry": [{"id": PAGE, "time": AT * 1000, box: [{**between, **item}]}]}}


def slack(number: int, **event: Any) -> Json:
    ts = f"{AT + number}.000100"
    inner = {
        "type": "message",
        "user": "U01ANN",
        "ts": ts,
        "event_ts": ts,
        "team": "T0TEAM1",
        "channel": "C01GEN",
        "channel_type": "channel",
        **event,
    }
    outer = {"token": "unused", "team_id": "T0TEAM1", "api_app_id": "A0APP1", "type": "event_callback", "event_id": f"Ev{number}", "event_time": AT}
    return {"event": {**outer, "authorizations": [{"team_id": "T0TEAM1", "user_id": "U0ROBO", "is_bot": True}], "event": inner}}


def case(id: str, steps: Sequence[Json]) -> Json:
    return {"id": id, "input": list(steps), "expect": {}}


async def test_a_send_that_fails_later_tells_why_and_what_to_do(place: Place) -> None:
    error = {"code": 131047, "title": "Re-engagement message", "error_data": {"details": "More than 24 hours have passed."}}
    failed = whatsapp(statuses=[{"id": "wamid.O1", "status": "failed", "timestamp": str(AT), "recipient_id": ANN, "errors": [error]}])
    steps = [written("hello"), answers("POST messages", {"messages": [{"id": "wamid.O1"}]}), send(ANN, "Here it is"), failed]
    async with fed(place, case("wa-further-fails-later", steps)) as run:
        shown = json.dumps(await run.call("get_message", message_id=run.sent["message_id"]))
        assert "More than 24 hours" in shown
        assert "Wait until the person writes again" in shown


async def test_a_bill_that_is_not_paid_is_no_message_that_failed(place: Place) -> None:
    paid = {"id": "wamid.O2", "type": "payment", "status": "failed", "timestamp": str(AT), "recipient_id": ANN, "payment": {"reference_id": "r-7"}}
    delivered = {"id": "wamid.O2", "status": "delivered", "timestamp": str(AT), "recipient_id": ANN}
    bill = [answers("POST messages", {"messages": [{"id": "wamid.O2"}]}, {"messages": [{"id": "wamid.O9"}]}), send(ANN, "Your bill")]
    steps = [written("hello"), *bill, whatsapp(statuses=[delivered]), whatsapp(statuses=[paid])]
    async with fed(place, case("wa-further-payment", steps), agent=True) as run:
        assert [(row["outgoing"], row["status"]) for row in stored(run) if row["body"] == "Your bill"] == [(True, "delivered")]
        assert any("Payment failed" in row["body"] and row["kind"] == "system" for row in stored(run))
        assert "Payment failed" not in str(heard(run))


async def test_a_cart_is_a_message_that_the_agent_answers(place: Place) -> None:
    cart = page(order={"products": [{"id": 1, "name": "Fence", "unit_price": 11, "currency": "EUR", "quantity": 2}], "note": "by Friday"})
    async with fed(place, case("fb-further-cart", [cart]), agent=True) as run:
        assert "2 × Fence at 11 EUR" in str(heard(run))
        assert len(run.messenger.requests()) > 0
        chat = await run.call("get_chat", chat_id=PERSON)
        assert "Ann Lee" in json.dumps(chat)


@pytest.mark.parametrize("days", [2, 6])
async def test_what_is_days_old_opens_no_window(place: Place, days: int) -> None:
    async with fed(place, case("wa-further-old", [written("hello", at=int(time.time()) - days * DAYS), send(ANN, "Here it is")])) as run:
        assert [row["body"] for row in stored(run) if not row["outgoing"]] == ["hello"]
        assert "24 hours" in json.dumps(run.problem)


async def test_another_apps_conversation_is_left_alone_until_it_is_passed(place: Place) -> None:
    steps = [
        page("standby", message={"mid": "m1", "text": "to the other app"}),
        page(pass_thread_control={"previous_owner_app_id": "1", "new_owner_app_id": "2"}),
        page(message={"mid": "m2", "text": "to us"}),
    ]
    async with fed(place, case("fb-further-standby", steps), agent=True) as run:
        assert [row["body"] for row in stored(run) if row["content"].get("standby")] == ["to the other app"]
        assert len(heard(run)) == 1
        assert "to us" in str(heard(run))


async def test_a_notice_answers_no_wait_and_is_not_what_is_marked_as_read(place: Place) -> None:
    wish = {"wa_id": ANN, "category": "marketing_messages", "value": "stop", "timestamp": AT, "detail": "User requested to stop"}
    notice = whatsapp(user_preferences=[wish])
    sent = [answers("POST messages", {"messages": [{"id": "wamid.O3"}]}), send(ANN, "Well?")]
    steps = [written("hello"), *sent, notice, {"call": {"operation": "mark_read", "arguments": {"chat_id": ANN}}}]
    async with fed(place, case("wa-further-notice", steps)) as run:
        waited = await run.call("wait_for_reply", message_id=run.sent["message_id"], timeout=0)
        assert "requested to stop" not in json.dumps(waited)
        assert "requested to stop" in str(stored(run))
        marked = [fields for _, fields in run.messenger.requests() if fields.get("status") == "read"]
        assert [one["message_id"] for one in marked] == ["wamid.IN1"]


async def test_a_channel_is_one_chat_however_it_is_written(place: Place) -> None:
    link = "https://works.slack.com/archives/C01GEN"
    steps: list[Json] = [slack(0, text="hello")]
    for number, to in enumerate(("#general", "<#C01GEN|general>", link, "https://app.slack.com/client/T0TEAM1/C01GEN")):
        steps.append(send(to, f"text {number}"))
    async with fed(place, case("slack-further-address", steps)) as run:
        assert [one.problem for one in run.answers if one.problem] == []
        assert {row["chat_id"] for row in stored(run)} == {"C01GEN"}
        assert {fields["channel"] for method, fields in run.messenger.requests() if method == "chat.postMessage"} == {"C01GEN"}


@pytest.mark.parametrize("format", ["markdown", "plain"])
async def test_what_alarms_nobody_where_it_is_written_alarms_nobody_where_it_is_repeated(place: Place, format: str) -> None:
    words = "&lt;!channel&gt; &lt;!subteam^S0TEAM&gt; <!here> <!everyone> &lt;@U02BOB&gt; @channel"
    async with fed(place, case("slack-further-echo", [slack(0, text=words)])) as run:
        (heard,) = (await run.call("get_messages", chat_id="C01GEN"))["messages"]
        await run.call("send_message", to="C01GEN", message=heard["text"], format=format)
        posted = [fields for method, fields in run.messenger.requests() if method == "chat.postMessage"][-1]
        for mark in ("<!channel", "<!subteam", "<!here", "<!everyone", "<@U02BOB"):
            assert mark not in json.dumps(posted)
        assert posted.get("link_names") in (None, False, "false", "0")


async def test_a_post_is_no_chat_to_answer_in_and_its_comment_wakes_nobody(place: Place) -> None:
    value = {"item": "comment", "verb": "add", "comment_id": "c1", "post_id": "p1", "from": {"id": PERSON, "name": "Ann"}, "message": "how much?"}
    comment = {"webhook": {"object": "page", "entry": [{"id": PAGE, "time": AT, "changes": [{"field": "feed", "value": value}]}]}}
    async with fed(place, case("fb-further-comment", [comment, send("post:p1", "7 euros")]), agent=True) as run:
        assert [(row["chat_id"], row["kind"]) for row in stored(run) if not row["outgoing"]] == [("post:p1", "system")]
        assert heard(run) == []
        assert "list_chats" in json.dumps(run.problem)


async def test_a_missing_topic_is_not_called_a_missing_chat(place: Place) -> None:
    gone = {"ok": False, "error_code": 400, "description": "Bad Request: message thread not found"}
    update = {
        "message": {
            "message_id": 5,
            "message_thread_id": 3,
            "is_topic_message": True,
            "date": AT,
            "text": "hello",
            "from": {"id": 1001, "is_bot": False, "first_name": "Ann"},
            "chat": {"id": -1002000000001, "type": "supergroup", "title": "Garden club", "is_forum": True},
        }
    }
    steps = [{"update": update}, answers("sendMessage", gone, status=400), send("-1002000000001", "hi", thread_id="3")]
    async with fed(place, case("tg-further-topic", steps)) as run:
        assert "topic" in json.dumps(run.problem).casefold()
        assert "list_chats" not in json.dumps(run.problem)
        assert "-1002000000001" in json.dumps(await run.call("list_chats"))


async def test_a_reaction_ends_a_wait_that_asks_for_one(place: Place) -> None:
    reaction = {"type": "reaction_added", "reaction": "thumbsup", "item": {"type": "message", "channel": "C01GEN", "ts": f"{AT}.000900"}}
    posted = answers("chat.postMessage", {"ok": True, "channel": "C01GEN", "ts": f"{AT}.000900", "message": {}})
    async with fed(place, case("slack-further-reaction", [posted, send("C01GEN", "Shall I?"), slack(9, **reaction)])) as run:
        told = await run.call("wait_for_reply", message_id=run.sent["message_id"], timeout=0, reactions=True)
        assert "👍" in json.dumps(told, ensure_ascii=False)


async def test_the_original_is_shown_on_request_and_without_secrets(place: Place) -> None:
    item: Json = {"optin": {"type": "one_time_notif_req", "payload": "p", "one_time_notif_token": "EAA-not-a-token"}}
    async with fed(place, case("fb-further-raw", [page(**item)])) as run:
        (row,) = stored(run)
        plain = json.dumps(await run.call("get_message", message_id=str(row["id"])))
        raw = json.dumps(await run.call("get_message", message_id=str(row["id"]), raw=True))
        assert "one_time_notif_req" in raw
        assert len(raw) > len(plain)
        assert "not-a-token" not in raw + plain
        assert "untrusted" in raw.casefold()

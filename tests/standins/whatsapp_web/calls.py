"""What the page asks of the server. Each refuses what WhatsApp refuses."""

from collections.abc import Callable
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from tests.standins.whatsapp_web.accounts import Account
from tests.standins.whatsapp_web.posts import Group, Json, Pair, Post, remote
from tests.standins.whatsapp_web.refusal import Refusal, not_yours

if TYPE_CHECKING:
    from tests.standins.whatsapp_web.server import Page, WhatsAppStandIn

_PAGE = 20
_TEXT_MAX = 65_536
_GROUP_MAX = 1024


def _me(page: "Page") -> Account:
    if page.account is None:
        raise Refusal(401, "not-authorized")
    return page.account


def chat_view(whatsapp: "WhatsAppStandIn", viewer: Account, place: Group | Pair) -> Json:
    posts = whatsapp.posts_in(place)
    unread = sum(post.author is not viewer and viewer not in post.read_by for post in posts)
    shown = [*posts, *(post for post in viewer.refused if post.place is place)]
    newest = max((post.t for post in shown), default=place.t if isinstance(place, Group) else 0)
    id = remote(place, viewer)
    view: Json = {"id": id, "t": newest, "unread": unread, "more": id in viewer.on_phone}
    if isinstance(place, Pair):
        return {**view, "title": place.other(viewer).name}
    people = [{"id": member.lid, "admin": member in place.admins} for member in place.members]
    group = {"description": place.description, "announce": place.announce, "participants": people}
    return {**view, "title": place.title, "group": group}


def hello(whatsapp: "WhatsAppStandIn", page: "Page", device: str | None) -> Json:
    page.account, without = whatsapp.owner_of(device), sorted(whatsapp.without)
    if page.account is None or device is None:
        return {"linked": False, "ref": whatsapp.new_ref(page), "without": without}
    page.device = device
    return {"linked": True, "missed": whatsapp.missed_by(device), "early": whatsapp.syncs_early, "without": without}


def sync(whatsapp: "WhatsAppStandIn", page: "Page") -> Json:
    me = _me(page)
    places = whatsapp.places_of(me)
    people = {member for place in places for member in place.members if member is not me}
    return {
        "me": {"pn": me.pn, "lid": me.lid, "name": me.name, "migrated": me.migrated},
        "contacts": [person.contact_for(me) for person in people],
        "chats": [chat_view(whatsapp, me, place) for place in places],
        "messages": [post.view(me) for place in places for post in _synced(whatsapp, me, place)] + [post.view(me) for post in me.refused],
    }


def _synced(whatsapp: "WhatsAppStandIn", me: Account, place: Group | Pair) -> list[Post]:
    on_phone = me.on_phone.get(remote(place, me), 0)
    return [post for post in whatsapp.posts_in(place) if post.t >= on_phone][-_PAGE:]


def send(whatsapp: "WhatsAppStandIn", page: "Page", chat: str, key: str, type: str, t: int, fields: Json) -> Json:
    me = _me(page)
    if me.refuses_with is not None:
        me.refused.append(Post(me, whatsapp.find_place(me, chat), type, fields, key=key, t=t, ack=-1))
        raise Refusal(me.refuses_with, "nack")
    if me.takes is not None:
        me.takes -= 1
        if me.takes < 0:
            raise Refusal(403, "nack")
    if len(fields.get("body", "")) > _TEXT_MAX and type == "chat":
        raise Refusal(413, "too large")
    place = whatsapp.find_place(me, chat)
    if isinstance(place, Group) and place.announce and me not in place.admins:
        raise not_yours()
    post = Post(me, place, type, fields, key=key, t=t)
    whatsapp.spread(post, origin=page)
    if any(one is not me and one.online for one in place.members):
        whatsapp.acknowledge(post, 2)
    return {"ack": 1}


def edit(whatsapp: "WhatsAppStandIn", page: "Page", key: str, body: str) -> None:
    whatsapp.edit(_own(whatsapp, page, key), body, origin=page)


def revoke(whatsapp: "WhatsAppStandIn", page: "Page", key: str) -> None:
    whatsapp.revoke(_own(whatsapp, page, key), origin=page)


def _own(whatsapp: "WhatsAppStandIn", page: "Page", key: str) -> Post:
    post = whatsapp.find_post(_me(page), key)
    if post.author is not page.account:
        raise not_yours()
    return post


def react(whatsapp: "WhatsAppStandIn", page: "Page", key: str, emoji: str) -> None:
    me = _me(page)
    whatsapp.react(me, whatsapp.find_post(me, key), emoji)


def seen(whatsapp: "WhatsAppStandIn", page: "Page", chat: str) -> None:
    me = _me(page)
    for post in whatsapp.posts_in(whatsapp.find_place(me, chat)):
        if post.author is not me:
            post.read_by.add(me)
            whatsapp.acknowledge(post, 3)


def typing(whatsapp: "WhatsAppStandIn", page: "Page", chat: str, typing: bool) -> None:
    me = _me(page)
    whatsapp.find_place(me, chat)
    me.typing[chat] = typing


def messages(whatsapp: "WhatsAppStandIn", page: "Page", keys: list[str]) -> list[Json]:
    me = _me(page)
    return [post.view(me) for post in whatsapp.posts if post.key in keys and me in post.place.members]


def earlier(whatsapp: "WhatsAppStandIn", page: "Page", chat: str, known: list[str]) -> list[Json]:
    me = _me(page)
    if chat in me.unreadable:
        raise Refusal(500, "internal-server-error")
    on_phone = me.on_phone.get(chat, 0)
    posts = [post for post in whatsapp.posts_in(whatsapp.find_place(me, chat)) if post.t >= on_phone]
    # What is newer than the page's own comes to it by itself.
    earlier = list(takewhile(lambda post: post.key not in known, posts))
    return [post.view(me) for post in earlier[-_PAGE:]]


def open_chat(whatsapp: "WhatsAppStandIn", page: "Page", id: str) -> Json:
    me = _me(page)
    return {**chat_view(whatsapp, me, whatsapp.find_place(me, id)), "id": id}


def exists(whatsapp: "WhatsAppStandIn", page: "Page", id: str) -> Json:
    me = _me(page)
    found = next((account for account in whatsapp.accounts if id in {account.pn, account.lid, *account.also_written}), None)
    return {"contact": found and found.contact_for(me)}


def ask_phone(whatsapp: "WhatsAppStandIn", page: "Page", chat: str) -> None:
    me = _me(page)
    place, older_than = whatsapp.find_place(me, chat), me.on_phone.pop(chat)
    older = [post.view(me) for post in whatsapp.posts_in(place) if post.t < older_than]
    page.push("history", {"chat": chat_view(whatsapp, me, place), "messages": older})


def pin(whatsapp: "WhatsAppStandIn", page: "Page", key: str, pinned: bool) -> None:
    whatsapp.find_post(_me(page), key).pinned = pinned


def star(whatsapp: "WhatsAppStandIn", page: "Page", key: str, star: bool) -> None:
    me = _me(page)
    whatsapp.find_post(me, key)
    (me.starred.add if star else me.starred.discard)(key)


def mark(whatsapp: "WhatsAppStandIn", page: "Page", chat: str, marks: Json) -> None:
    me = _me(page)
    whatsapp.find_place(me, chat)
    me.marks.setdefault(chat, {}).update(marks)


def block(whatsapp: "WhatsAppStandIn", page: "Page", id: str, blocked: bool) -> None:
    me, other = _me(page), whatsapp.find_account(id)
    (me.blocked.add if blocked else me.blocked.discard)(other)


def profile(whatsapp: "WhatsAppStandIn", page: "Page", **changes: str) -> None:
    me = _me(page)
    me.name = changes.get("name", me.name)
    me.about = changes.get("about", me.about)


def picture(whatsapp: "WhatsAppStandIn", page: "Page", id: str, size: int) -> None:
    me = _me(page)
    if id in {me.pn, me.lid}:
        me.picture = size
    else:
        _administered(whatsapp, page, id).picture = size


def story(whatsapp: "WhatsAppStandIn", page: "Page", key: str, text: str) -> None:
    _me(page).stories[key] = text


def stanza(whatsapp: "WhatsAppStandIn", page: "Page", tag: str, to: str, child: str, call: str) -> None:
    if (tag, child) != ("call", "reject"):
        raise Refusal(400, "bad-request")
    _me(page).rejected.append((to, call))


def group_property(whatsapp: "WhatsAppStandIn", page: "Page", id: str, property: str, value: int) -> None:
    place = _administered(whatsapp, page, id)
    place.properties[property] = value
    place.announce = bool(place.properties.get("announcement"))
    whatsapp.tell_chat(place)


def group_join(whatsapp: "WhatsAppStandIn", page: "Page", code: str) -> Json:
    me = _me(page)
    place = next((group for group in whatsapp.groups if group.invite == code), None)
    if place is None:
        raise Refusal(404, "item-not-found")
    if me not in place.members:
        place.members.append(me)
        whatsapp.tell_chat(place)
    return chat_view(whatsapp, me, place)


def join_requests(whatsapp: "WhatsAppStandIn", page: "Page", id: str) -> list[Json]:
    return [{"id": person.lid, "t": t} for person, t in _administered(whatsapp, page, id).asking.items()]


def join_answer(whatsapp: "WhatsAppStandIn", page: "Page", id: str, participant: str, admit: bool) -> Json:
    place, person = _administered(whatsapp, page, id), whatsapp.find_account(participant)
    if place.asking.pop(person, None) is None:
        return {"error": 404}
    if admit:
        place.members.append(person)
        whatsapp.tell_chat(place)
    return {"error": None}


def group(whatsapp: "WhatsAppStandIn", page: "Page", id: str) -> Json:
    me = _me(page)
    return chat_view(whatsapp, me, whatsapp.find_place(me, id))


def group_create(whatsapp: "WhatsAppStandIn", page: "Page", title: str, participants: list[str]) -> Json:
    me = _me(page)
    asked = [whatsapp.find_account(address) for address in participants]
    made = whatsapp.group(title, [me, *(one for one in asked if not one.invite_only)])
    results: list[Json] = [{"id": me.lid, "error": None, "type": "superadmin"}]
    results += [{"id": one.lid, "error": 403 if one.invite_only else None, "type": None} for one in asked]
    return {"chat": chat_view(whatsapp, me, made), "participants": results}


def _administered(whatsapp: "WhatsAppStandIn", page: "Page", id: str) -> Group:
    me = _me(page)
    place = whatsapp.find_place(me, id)
    if not isinstance(place, Group) or me not in place.admins:
        raise not_yours()
    return place


def group_add(whatsapp: "WhatsAppStandIn", page: "Page", id: str, participant: str) -> Json:
    place, person = _administered(whatsapp, page, id), whatsapp.find_account(participant)
    if person in place.members:
        return {"error": 409}
    if person.invite_only:
        return {"error": 403}
    if len(place.members) >= _GROUP_MAX:
        return {"error": 419}
    place.members.append(person)
    whatsapp.tell_chat(place)
    return {"error": None}


def group_remove(whatsapp: "WhatsAppStandIn", page: "Page", id: str, participants: list[str]) -> None:
    place = _administered(whatsapp, page, id)
    for address in participants:
        place.members.remove(whatsapp.find_account(address))
    whatsapp.tell_chat(place)


def _set_admins(admin: bool) -> Callable[..., None]:
    def change(whatsapp: "WhatsAppStandIn", page: "Page", id: str, participants: list[str]) -> None:
        place = _administered(whatsapp, page, id)
        for person in map(whatsapp.find_account, participants):
            if admin:
                place.admins.add(person)
            else:
                place.admins.discard(person)
        whatsapp.tell_chat(place)

    return change


def group_title(whatsapp: "WhatsAppStandIn", page: "Page", id: str, title: str) -> None:
    place = _administered(whatsapp, page, id)
    if len(title) > 100:
        raise Refusal(406, "not-acceptable")
    place.title = title
    whatsapp.tell_chat(place)


def group_description(whatsapp: "WhatsAppStandIn", page: "Page", id: str, description: str) -> None:
    place = _administered(whatsapp, page, id)
    place.description = description
    whatsapp.tell_chat(place)


def group_invite(whatsapp: "WhatsAppStandIn", page: "Page", id: str, renew: bool) -> Json:
    place = _administered(whatsapp, page, id)
    if renew:
        place.invite = f"INVITE-{int(place.invite.partition('-')[2]) + 1}"
    return {"code": place.invite}


def group_leave(whatsapp: "WhatsAppStandIn", page: "Page", id: str) -> None:
    me = _me(page)
    place = whatsapp.find_place(me, id)
    assert isinstance(place, Group)
    place.members.remove(me)
    me.push("chat", chat_view(whatsapp, me, place))
    whatsapp.tell_chat(place)


def alt_link(whatsapp: "WhatsAppStandIn", page: "Page", phone: str, notify: bool) -> str:
    if not phone.isdigit():
        raise Refusal(400, "bad-request")
    return whatsapp.new_code(page, phone)


def refresh_ref(whatsapp: "WhatsAppStandIn", page: "Page") -> None:
    whatsapp.renew_ref(page)


def takeover(whatsapp: "WhatsAppStandIn", page: "Page") -> None:
    _me(page).say_state("CONNECTED")


def logout(whatsapp: "WhatsAppStandIn", page: "Page") -> None:
    _me(page).devices.discard(page.device or "")


def asked(whatsapp: "WhatsAppStandIn", page: "Page", name: str) -> None:
    whatsapp.asked.add(name)


def missing(whatsapp: "WhatsAppStandIn", page: "Page", name: str) -> None:
    whatsapp.violations.append(f"the page has no module {name}")


CALLS: dict[str, Callable[..., Any]] = {
    call.__name__: call
    for call in (hello, sync, send, edit, revoke, react, seen, typing, messages, earlier, open_chat, exists, group, group_create, group_add,
                 group_remove, group_title, group_description, group_invite, group_leave, alt_link, refresh_ref, takeover, logout, asked, missing,
                 ask_phone, pin, star, mark, block, profile, picture, story, stanza, group_property, group_join, join_requests, join_answer)
} | {"group_promote": _set_admins(True), "group_demote": _set_admins(False)}  # fmt: skip

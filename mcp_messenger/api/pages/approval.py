"""The page on which a person decides about a call of an agent. Whoever has its address may, once; it ends with the decision.

Opening it decides nothing, for programs open links that they find in a chat.
"""

import json

from starlette.requests import Request
from starlette.responses import Response

from mcp_messenger.api.pages.accounts import fields_of
from mcp_messenger.api.pages.html import Html, tag
from mcp_messenger.api.pages.layout import document, message, respond
from mcp_messenger.operations.application import App
from mcp_messenger.operations.approvals import EDITABLE, ApprovalView, view
from mcp_messenger.operations.deciding import approve_as, by_page, deny_as
from mcp_messenger.policy.asking import unsealed
from providers.errors import MessengerError
from providers.text import clean
from providers.words import Words, words_for

BY = "page"
FIELDS_MAX = 10
USUAL = ("format", "plain")
"""An argument that says nothing to a person."""
_ = str
"""Marks a text for the catalogues; it is translated where it is shown."""
REASONS = {
    "taint": _("The agent has read words of a stranger, who may have wanted just this."),
    "send_to": _("You let agents write to certain chats by themselves, and this is none of them."),
    "groups": _("You want to be asked before something is done in a group."),
    "files": _("You do not let agents send this kind of file by themselves."),
    "max_file_bytes": _("The file is larger than those that agents may send by themselves."),
    "links": _("The message holds a link."),
    "mass_mentions": _("The message would alarm everybody in the chat."),
    "sends_an_hour": _("Many messages were sent in the last hour."),
    "new_chats_a_day": _("Many chats were opened in the last day."),
    "quiet_hours": _("These are the quiet hours that you have set."),
}
"""Why the owner is asked, by the rule: its own words are for the agent."""
OF_AGENT = _("in the agent's words, which nobody has checked")


async def approval_page(app: App, request: Request) -> Response:
    """Answer under /approve/SECRET."""
    words = words_for(request.headers.get("accept-language"))
    say = words.say
    try:
        row = await by_page(app, request.path_params["secret"])
        shown = view(app, row)
        if request.method != "POST":
            editable = any(name in unsealed(app.vault(), row).arguments for name in EDITABLE)
            return respond(document(words, say("Approve?"), *_form(words, shown, editable=editable)))
        form = await fields_of(request, FIELDS_MAX)
        text = form.get("text", "").replace("\r\n", "\n")
        if form.get("decision") == "deny":
            await deny_as(app, row, BY)
        elif shown.kind == "question":
            await approve_as(app, row, BY, answer=text or None)
        else:
            # What the person has seen goes out, also where characters that cannot be seen were taken out of it.
            same = shown.content.replace("\r\n", "\n")
            changed = text if text.strip() and text != same else None
            await approve_as(app, row, BY, message=changed, always=form.get("decision") == "always")
    except MessengerError as error:
        return message(words, say("Nothing to decide here"), error.detail, error.hint or "", status=404)
    return message(words, say("Thank you"), say("Your decision is kept. This page can be closed."))


def _form(words: Words, shown: ApprovalView, *, editable: bool) -> list[Html]:
    say = words.say
    why = say(REASONS.get(shown.rule, shown.reason)) if shown.reason_by == "policy" else say("An agent has drafted this message.")
    facts = {
        say("What"): shown.operation,
        say("To"): f"{shown.chat_title} ({shown.chat_id})" if shown.chat_title and shown.chat_id else shown.chat_title or shown.chat_id,
        say("Why you are asked"): why,
        say("Asked by"): shown.asked_by,
        say("Until"): f"{shown.expires_at:%Y-%m-%d %H:%M} UTC",
    }
    known = [Html(tag("dt", name) + tag("dd", value)) for name, value in facts.items() if value]
    if shown.reason_by == "agent":
        known.append(Html(tag("dt", f"{say('Its reason')}, {say(OF_AGENT)}") + tag("dd", tag("blockquote", shown.reason))))
    parts = [tag("dl", *known)]
    is_question, content = shown.kind == "question", clean(shown.content)
    if content and (is_question or not editable):
        said = say(OF_AGENT)
        parts += [tag("p", f"{said[0].upper()}{said[1:]}:"), tag("blockquote", tag("pre", content))]
    others = {name: value for name, value in shown.arguments.items() if name not in {"to", "question"} and (name, value) != USUAL}
    if others:
        parts.append(tag("pre", json.dumps(others, ensure_ascii=False, indent=1), class_="arguments"))
    fields: list[Html] = []
    if is_question or editable:
        label = say("Your answer") if is_question else f"{say('The message')}, {say(OF_AGENT)}; {say('you may change it')}"
        fields = [tag("label", label, for_="text"), tag("p", tag("textarea", "" if is_question else content, name="text", rows=5, id="text"))]
    buttons = [_button("approve", say("Answer") if is_question else say("Approve"))]
    if shown.chat_id and not is_question:
        buttons.append(_button("always", say("Approve, and trust this chat"), second=True))
    buttons.append(_button("deny", say("Deny"), second=True))
    return [tag("div", *parts, class_="panel"), tag("form", *fields, tag("p", *buttons), method="post")]


def _button(decision: str, label: str, *, second: bool = False) -> Html:
    return tag("button", label, name="decision", value=decision, class_="second" if second else None)

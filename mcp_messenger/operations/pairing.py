"""Strangers who write to an instance whose policy is `paired`: each is given a code, by which the owner may let them reach agents.

The code is an approval, decided where all others are, and never in the stranger's own chat. What a stranger is told has the approval's id as
its idempotency key, so a crash in between neither loses nor repeats it.
"""

import hashlib
import secrets
from uuid import UUID, uuid4

import anyio

from db import instances
from db import pairing as store
from db.approvals import NewApproval
from db.events import EventRow
from db.pairing import Stranger, Unsaid
from mcp_messenger.delivery.feed import Listener
from mcp_messenger.errors import IdempotencyConflict
from mcp_messenger.operations.application import App
from mcp_messenger.policy.asking import LETTERS, Call, sealed
from mcp_messenger.policy.judging import own_permit
from mcp_messenger.policy.model import CODE, stored
from mcp_messenger.policy.waking import Incoming, held_back
from providers.models import ChatKind, Draft
from providers.text import clean_line

CODE_LENGTH = 6
VALID_MINUTES = 60
PAUSE = 0.25
"""Seconds between two looks, so that many messages are looked at together."""
GREETING = "An assistant answers here, and it does not know you yet. If the owner expects you, tell them this code within an hour: {code}"
WELCOME = "You have been let in. Please write again what you wanted."


class Pairing(Listener):
    """Gives codes to strangers. Every server does; the store lets one of them be first."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._news = anyio.Event()

    def instance_changed(self, instance_id: UUID, rows: list[EventRow]) -> None:
        """Look for strangers after messages, and for what they are to be told after decisions."""
        if any(row.type in {"message", "approval"} for row in rows):
            self._news.set()

    async def wait(self) -> None:
        """Return when somebody may have written."""
        await self._news.wait()
        await anyio.sleep(PAUSE)

    async def work(self) -> None:
        """Give codes to strangers, and tell all of them what they are to be told."""
        self._news = anyio.Event()
        documents = await store.holding_back(self._app.database, None)
        policies = {id: policy for id, policy in ((id, stored(document)) for id, document in documents.items()) if policy.inbound.wake == "paired"}
        if not policies:
            return
        asking = [id for id, policy in policies.items() if not policy.read_only]
        for stranger in await store.strangers(self._app.database, asking) if asking else ():
            # A pattern of the policy may let them in.
            if await held_back(self._app.database, [Incoming(stranger.instance_id, stranger.chat_id)]):
                await store.give(self._app.database, self._code(stranger))
        for unsaid in await store.unsaid(self._app.database):
            policy = policies.get(unsaid.instance_id)
            await self._say(unsaid, (policy and policy.inbound.pairing_text) or GREETING)

    def _code(self, stranger: Stranger) -> NewApproval:
        id = uuid4()
        name = clean_line(stranger.name)
        asker = f"stranger:{stranger.instance_id}:{stranger.chat_id}"
        return NewApproval(
            id=id,
            code="".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH)),
            kind=store.KIND,
            user_id=stranger.user_id,
            instance_id=stranger.instance_id,
            operation="pair",
            sealed=sealed(self._app.vault(), id, Call({}, title=name)),
            binding=hashlib.sha256(f"{asker} {stranger.codes}".encode()).hexdigest(),
            chat_id=stranger.chat_id,
            rule="wake",
            reason="Somebody new wrote. Let them in only if they told you this code themselves.",
            asker=asker,
            caller_user_id=stranger.user_id,
            caller_instance_id=stranger.instance_id,
            idempotency_key=None,
            minutes=VALID_MINUTES,
        )

    async def _say(self, unsaid: Unsaid, greeting: str) -> None:
        """Tell a stranger the code, or that they were let in; once over all servers."""
        row = await instances.get(self._app.database, unsaid.instance_id)
        if row is None:
            return
        text = greeting.replace(CODE, unsaid.code) if unsaid.status == "pending" else WELCOME
        draft = Draft(client_id="0", chat_id=unsaid.chat_id, text=text)
        key, permit = f"approval:{unsaid.id}:{unsaid.status}", own_permit(self._app.judge, row, draft)
        try:
            await self._app.outbox.queue(row.id, draft, kind=ChatKind.PRIVATE, idempotency_key=key, permit=permit)
        except IdempotencyConflict:
            return
        await self._app.supervisor.wake_outbox(unsaid.instance_id)

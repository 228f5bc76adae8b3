"""WhatsApp Web in a container of its own: the real library and a real browser, by a real engine, with a phone that a test holds."""

import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread
import pytest
from docker.errors import NotFound

from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.operations import login
from mcp_messenger.operations.instances import (
    CreateInstance,
    ProcessInstance,
    create_instance,
    get_instance,
    process_instance,
    restart_instance,
    start_instance,
    stop_instance,
)
from mcp_messenger.operations.login import QrAnswer
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.operations.waiting import WaitForMessages, WaitForReply, wait_for_messages, wait_for_reply
from mcp_messenger.security.caller import ADMIN
from providers.errors import MessengerError
from tests.docker_engine import Site, bridge_address, site
from tests.standins.whatsapp_web import WhatsAppStandIn
from tests.standins.whatsapp_web.accounts import Account
from tests.stored import one
from tests.waiting import until, until_answer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

PATIENCE = 90.0


@pytest.fixture
async def whatsapp(engine: Any) -> AsyncIterator[WhatsAppStandIn]:
    async with WhatsAppStandIn(bridge_address(engine)) as whatsapp:
        yield whatsapp


async def until_state(here: Site, instance_id: str, state: str) -> None:
    of = OfInstance(instance_id=instance_id)
    await until_answer(lambda: get_instance(here.app, ADMIN, of), lambda found: found.status == state, PATIENCE)


async def qr_of(here: Site, instance_id: str) -> QrAnswer:
    async def ask() -> QrAnswer | None:
        try:
            return await login.get_qr(here.app, ADMIN, OfInstance(instance_id=instance_id))
        except MessengerError:
            return None

    found = await until(ask, PATIENCE)
    assert found is not None
    return found


@pytest.fixture
def image(engine: Any, whatsapp_image: str) -> Iterator[str]:
    """A name of this test's own for the image, so that it can be upgraded."""
    name = f"mcp-messenger-test-upgrade:{uuid4().hex[:8]}"
    former, mine = (ContainerConfig(image=one).image_of("whatsapp")[0] for one in (whatsapp_image, name))
    engine.tag(former, *mine.split(":"))
    yield name
    engine.remove_image(mine, force=True)


def upgrade(engine: Any, image: str) -> None:
    """What a release does: another image under the same name."""
    mine, _ = ContainerConfig(image=image).image_of("whatsapp")
    list(engine.build(fileobj=io.BytesIO(f"FROM {mine}\nLABEL release=next\n".encode()), tag=mine, rm=True))


async def linked(here: Site, account: Account) -> str:
    """A new instance in a container of its own, ready."""
    made = await create_instance(here.app, ADMIN, CreateInstance(provider="whatsappweb"))
    assert made.instance.runtime == "docker", "where an engine is, the browser runs in a container"
    account.scan((await qr_of(here, made.instance_id)).qr)
    await until_state(here, made.instance_id, "ready")
    return made.instance_id


async def test_two_accounts_in_two_containers_talk(
    database_url: str, tmp_path: Path, engine: Any, whatsapp_image: str, whatsapp: WhatsAppStandIn
) -> None:
    agent, ann = whatsapp.account("15550100", "Agent"), whatsapp.account("15550101", "Ann")
    environ = {"WA_CHROMIUM_ARGS": json.dumps(["--no-sandbox", *whatsapp.chromium_args])}
    async with site(database_url, tmp_path, engine, image=whatsapp_image, environ=environ) as here:
        await until(lambda: here.docker.away is None)
        ours, hers = await linked(here, agent), await linked(here, ann)
        sent = await send_message(here.app, ADMIN, SendMessage(instance_id=ours, to="15550101", message="Hi Ann"))
        (came,) = (await wait_for_messages(here.app, ADMIN, WaitForMessages(instance_id=hers, cursor="0", timeout=60))).messages
        assert (came.text, came.chat_id) == ("Hi Ann", agent.pn)
        answer = SendMessage(instance_id=hers, to=agent.pn, message="Hi yourself", reply_to=came.id)
        assert (await send_message(here.app, ADMIN, answer)).status in {"sent", "delivered", "read"}
        waited = await wait_for_reply(here.app, ADMIN, WaitForReply(instance_id=ours, message_id=sent.message_id, timeout=60))
        assert [reply.text for reply in waited.replies] == ["Hi yourself"]


async def inspected(here: Site, instance_id: str) -> Any:
    """Return the engine's view of the container; None while there is none."""
    try:
        return await here.inspect(instance_id)
    except NotFound:
        return None


async def test_an_account_in_a_container_keeps_its_login(
    database_url: str, tmp_path: Path, engine: Any, image: str, whatsapp: WhatsAppStandIn
) -> None:
    agent, ann = whatsapp.account("15550100", "Agent"), whatsapp.account("15550101", "Ann")
    environ = {"WA_CHROMIUM_ARGS": json.dumps(["--no-sandbox", *whatsapp.chromium_args])}
    async with site(database_url, tmp_path, engine, image=image, environ=environ) as here:
        await until(lambda: here.docker.away is None)
        instance_id = await linked(here, agent)
        of = OfInstance(instance_id=instance_id)

        sent = await send_message(here.app, ADMIN, SendMessage.model_validate({"instance_id": instance_id, "number": "15550101", "message": "Hi"}))
        assert sent.status in {"sent", "delivered", "read"}
        ann.writes(agent, "Hi yourself")
        waited = await wait_for_reply(here.app, ADMIN, WaitForReply(instance_id=instance_id, message_id=sent.message_id, timeout=60))
        assert [reply.text for reply in waited.replies] == ["Hi yourself"]

        await stop_instance(here.app, ADMIN, of)
        ann.writes(agent, "Are you there?")
        await start_instance(here.app, ADMIN, of)
        await until_state(here, instance_id, "ready")
        await until(lambda: [post.text for post in whatsapp.posts][-1] == "Are you there?")

        container = (await here.inspect(instance_id))["Id"]
        await here.ask("kill", container, "SIGKILL")
        await here.ask("remove_container", container, force=True)

        await until_answer(lambda: inspected(here, instance_id), lambda found: found is not None and found["Id"] != container, PATIENCE)
        await until_state(here, instance_id, "ready")

        container = (await here.inspect(instance_id))["Id"]
        await anyio.to_thread.run_sync(upgrade, engine, image)
        await restart_instance(here.app, ADMIN, of)
        await until_answer(
            lambda: inspected(here, instance_id), lambda found: found is not None and found["Config"]["Labels"].get("release") == "next", PATIENCE
        )
        await until_state(here, instance_id, "ready")
        assert (await here.inspect(instance_id))["Id"] != container
        codes = "SELECT count(*) FROM status_history WHERE status = 'qr_ready'"
        assert one(database_url, codes) == 1, "it was never asked to log in again"

        await process_instance(here.app, ADMIN, ProcessInstance(instance_id=instance_id, force_recreate=True))
        assert (await qr_of(here, instance_id)).qr, "thrown away on purpose: a new code"

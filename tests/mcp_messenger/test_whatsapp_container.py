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
from mcp_messenger.operations.groups import CreateGroup, create_group
from mcp_messenger.operations.instances import CreateInstance, create_instance, get_instance
from mcp_messenger.operations.lifecycle import ProcessInstance, process_instance, restart_instance, start_instance, stop_instance
from mcp_messenger.operations.login import QrAnswer
from mcp_messenger.operations.messages import GetMessages, get_messages
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.operations.waiting import WaitForMessages, WaitForReply, wait_for_messages, wait_for_reply
from mcp_messenger.security.caller import ADMIN
from providers.errors import MessengerError
from tests.docker_engine import Site, bridge_address, exec_in, site
from tests.standins.whatsapp_web import WhatsAppStandIn
from tests.standins.whatsapp_web.accounts import Account
from tests.stored import one
from tests.waiting import until, until_answer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600), pytest.mark.in_turn]

PATIENCE = 90.0
BROWSER = r"""for p in /proc/[0-9]*; do
    [[ "$(tr '\0' ' ' <$p/cmdline)" == /usr/lib/chromium* ]] && echo "${p#/proc/}:$(cut -d' ' -f22 $p/stat)"
done; true"""
"""Prints the number and the start of each process of the browser."""
KILL_BROWSER = (
    r"""for p in /proc/[0-9]*; do [[ "$(tr '\0' ' ' <$p/cmdline)" == *node\ *bridge.mjs* ]] && kill -KILL $(cat $p/task/*/children); done; true"""
)
"""The process that the bridge has started is the browser, not a script around it."""


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
    """Build another image under the same name, as a release does; this one has its bridge beside the program, as one that was mended."""
    mine, _ = ContainerConfig(image=image).image_of("whatsapp")
    bridge = "COPY --from=0 /app/providers/whatsappweb/bridge /opt/bridge\nENV WHATSAPP_BRIDGE=/opt/bridge"
    file = f"FROM {mine}\nFROM {mine}\n{bridge}\nLABEL release=next\n"
    list(engine.build(fileobj=io.BytesIO(file.encode()), tag=mine, rm=True))


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
    """One of them has been moved to lids; its messages and groups go by number all the same."""
    agent, ann = whatsapp.account("15550100", "Agent"), whatsapp.account("15550101", "Ann")
    agent.migrated = True
    environ = {"WA_CHROMIUM_ARGS": json.dumps(whatsapp.chromium_args)}
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

        group = CreateGroup(instance_id=ours, name="Friends", participants=["+1 (555) 0101", "19999999"])
        assert [result.ok for result in (await create_group(here.app, ADMIN, group)).results] == [True, False]
        assert {member.name for member in whatsapp.groups[-1].members} == {"Agent", "Ann"}

        of = OfInstance(instance_id=ours)
        await stop_instance(here.app, ADMIN, of)
        texts = {f"missed {number}" for number in range(30)}
        for text in texts:
            ann.writes(agent, text)
        agent.unreadable.add(ann.lid)
        await start_instance(here.app, ADMIN, of)
        await until_state(here, ours, "degraded")
        reason = one(database_url, "SELECT reason FROM status_history WHERE position('could not be read back' in reason) > 0")
        assert ann.lid in reason
        agent.unreadable.clear()
        await restart_instance(here.app, ADMIN, of)
        await until_state(here, ours, "ready")
        chat = GetMessages(instance_id=ours, chat_id="15550101", limit=100)
        found = await until_answer(
            lambda: get_messages(here.app, ADMIN, chat), lambda page: texts <= {message.text for message in page.messages}, PATIENCE
        )
        assert len([message for message in found.messages if message.text in texts]) == len(texts), "none twice"


async def inspected(here: Site, instance_id: str) -> Any:
    """Return the engine's view of the container; None while there is none."""
    try:
        return await here.inspect(instance_id)
    except NotFound:
        return None


async def browser_in(here: Site, instance_id: str) -> set[str]:
    """Return the processes of the browser, so that none of them is taken for a later one of the same number."""
    _, _, running = await exec_in(here, instance_id, ["bash", "-c", BROWSER])
    return set(running.split())


async def test_an_account_in_a_container_keeps_its_login(
    database_url: str, tmp_path: Path, engine: Any, image: str, whatsapp: WhatsAppStandIn
) -> None:
    """Through a stop, a killed container, a killed browser, and an upgrade of the bridge by one command, which leaves other messengers alone."""
    agent, ann = whatsapp.account("15550100", "Agent"), whatsapp.account("15550101", "Ann")
    environ = {"WA_CHROMIUM_ARGS": json.dumps(whatsapp.chromium_args)}
    async with site(database_url, tmp_path, engine, image=image, environ=environ) as here:
        await until(lambda: here.docker.away is None)
        instance_id = await linked(here, agent)
        other = (await create_instance(here.app, ADMIN, CreateInstance(provider="sandbox", runtime="process"))).instance_id
        await until_state(here, other, "qr_ready")
        states = "SELECT count(*) FROM status_history WHERE instance_id = %s"
        of, untouched = OfInstance(instance_id=instance_id), one(database_url, states, other)

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

        former = await browser_in(here, instance_id)
        await exec_in(here, instance_id, ["bash", "-c", KILL_BROWSER])
        ann.writes(agent, "Were you away?")
        chat = GetMessages(instance_id=instance_id, chat_id="15550101")
        await until_answer(
            lambda: get_messages(here.app, ADMIN, chat), lambda page: "Were you away?" in {one.text for one in page.messages}, PATIENCE
        )
        assert former
        assert not former & await browser_in(here, instance_id), "nothing of a killed browser stays"
        await until_state(here, instance_id, "ready")

        container = (await here.inspect(instance_id))["Id"]
        await anyio.to_thread.run_sync(upgrade, engine, image)
        await restart_instance(here.app, ADMIN, of)
        await until_answer(
            lambda: inspected(here, instance_id), lambda found: found is not None and found["Config"]["Labels"].get("release") == "next", PATIENCE
        )
        await until_state(here, instance_id, "ready")
        assert (await here.inspect(instance_id))["Id"] != container
        _, _, running = await exec_in(here, instance_id, ["bash", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"])
        assert " /opt/bridge/bridge.mjs" in running, running
        assert one(database_url, states, other) == untouched

        codes = "SELECT count(*) FROM status_history WHERE status = 'qr_ready' AND instance_id = %s"
        assert one(database_url, codes, instance_id) == 1, "it was never asked to log in again"

        await process_instance(here.app, ADMIN, ProcessInstance(instance_id=instance_id, force_recreate=True))
        assert (await qr_of(here, instance_id)).qr, "thrown away on purpose: a new code"

"""The run of an agent for a batch: its files fetched, the typing sign shown, AgentOS asked."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import anyio

from db import messages
from db.database import Database
from mcp_messenger.agents.agno import AgentOs, Hear
from mcp_messenger.agents.batch import Batch, Stopped
from mcp_messenger.agents.transcript import remark, transcript
from mcp_messenger.errors import AgentFailed
from mcp_messenger.relay.port import RemotePort
from providers.base import Provider
from providers.errors import MessengerError
from providers.models import Capability, Download, Media

TYPING_EVERY = 4.0
FILES_MAX, FILE_MAX = 5, 20_000_000

Port = Provider | RemotePort


class Run:
    def __init__(self, database: Database, agent_os: AgentOs, batch: Batch, cls: type[Provider], port: Port) -> None:
        self._database = database
        self._agent_os = agent_os
        self._batch = batch
        self._cls = cls
        self._port = port

    async def answered(self, hear: Hear) -> str:
        """What the agent says. Raises AgentFailed."""
        files, missing = await self._files()
        asked = transcript(self._batch.messages, self._batch.chat_kind)
        return await self._ask("\n".join([asked, *missing, *await self._namesakes()]), files, hear)

    async def _namesakes(self) -> list[str]:
        first = await messages.first_of_chats(self._database, [message.id for message in self._batch.messages])
        return [remark("somebody new; another contact has a name that looks the same", id) for id in first.values() if id is not None]

    async def _ask(self, text: str, files: Sequence[Download], hear: Hear) -> str:
        agent_id, session = self._batch.row.agent_id or "", self._batch.session
        try:
            return await self._agent_os.run(agent_id, message=text, session=session, files=files, hear=hear)
        except AgentFailed as error:
            if error.status != 400 or not files:
                raise
        # AgentOS refuses types of files that it does not know.
        text = "\n".join([text, *(remark("a file that could not be passed on", file.name) for file in files)])
        return await self._agent_os.run(agent_id, message=text, session=session, hear=hear)

    async def _files(self) -> tuple[list[Download], list[str]]:
        """With a line for each that the agent does not get."""
        files: list[Download] = []
        missing: list[str] = []
        for media in [media for message in self._batch.messages for media in message.content.get("media", ())]:
            wanted = Media.model_validate(media)
            name = wanted.name or wanted.kind
            if Capability.DOWNLOAD not in self._cls.capabilities or len(files) == FILES_MAX or (wanted.size or 0) > FILE_MAX:
                missing.append(remark("a file that could not be passed on", name))
                continue
            try:
                files.append(await self._port.download(wanted))
            except MessengerError as error:
                missing.append(remark("a file that could not be fetched", name, error.detail))
        return files, missing


async def typing(port: Port, cls: type[Provider], chat_id: str, newest: str | None, work: Callable[[], Awaitable[str]]) -> str:
    """Do this under the typing sign, where there is one. `newest` is the platform's id of their newest message.

    Raises what `work` raises of MessengerError and Stopped.
    """
    failure: MessengerError | Stopped | None = None
    answer = ""
    async with anyio.create_task_group() as beside:
        if Capability.TYPING in cls.capabilities:
            beside.start_soon(_type, port, chat_id, newest)
        try:
            answer = await work()
        except (MessengerError, Stopped) as error:
            failure = error
        beside.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answer


async def _type(port: Port, chat_id: str, newest: str | None) -> None:
    """The sign goes out by itself after a few seconds on most platforms."""
    with suppress(MessengerError):
        while True:
            await port.set_typing(chat_id, True, newest)
            await anyio.sleep(TYPING_EVERY)

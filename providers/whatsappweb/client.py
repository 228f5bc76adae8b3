"""The bridge: a child process that runs WhatsApp Web, spoken to by JSON lines over its own pipes.

No port, and so no key that could leak and nobody else who could call; and each side notices the end of the other by itself.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, cast

import psutil

from providers.errors import Unreachable
from providers.kit.json import value_in
from providers.kit.json_size import OF_OURS
from providers.whatsappweb.machine import Machine

logger = logging.getLogger(__name__)

Json = dict[str, Any]

# One line holds a whole file in base64.
_LINE_MAX = 256 * 2**20

_STOPPING_SECONDS = 12
_KILLED_SECONDS = 5
_LOOK_SECONDS = 0.05

UNREAD_LINE = "unread_line"
"""In the place of an event, where a line of the bridge could not be read."""


class BridgeRefused(Exception):
    """The bridge or WhatsApp Web said no. `begun`: the send had been handed to WhatsApp Web by then."""

    def __init__(self, code: str, words: str, *, begun: bool = False) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.begun = begun


@dataclass(frozen=True)
class BridgeEvent:
    name: str
    data: Json


class Bridge:
    """One run of the bridge. What it tells comes out of `events`, which end when it ends."""

    def __init__(self, process: asyncio.subprocess.Process, data: Path) -> None:
        self._process = process
        self._data = data
        self._events: asyncio.Queue[BridgeEvent | None] = asyncio.Queue()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = count(1)
        self._writing = asyncio.Lock()
        self._ended = False
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._log())]

    @classmethod
    async def start(cls, machine: Machine, data: Path, pulse_seconds: float, web_version: str = "") -> "Bridge":
        """Start the bridge; `web_version` is the version of WhatsApp Web to run (empty: the newest). Raises OSError."""
        _make_folder(data)
        await free_profile(data)
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(data),  # puppeteer and Chromium look into it, and break where they may not
            "WA_DATA": str(data),
            "WA_CHROMIUM": machine.chromium,
            "WA_CHROMIUM_ARGS": machine.chromium_args,
            "WA_MODULES": str(machine.modules),
            "WA_WEB_VERSION": web_version,
            "WA_PULSE_MS": str(round(1000 * pulse_seconds)),
        }
        pipe = asyncio.subprocess.PIPE
        bridge = str(machine.bridge / "bridge.mjs")
        process = await asyncio.create_subprocess_exec(machine.node, bridge, stdin=pipe, stdout=pipe, stderr=pipe, env=env, limit=_LINE_MAX)
        return cls(process, data)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def events(self) -> AsyncIterator[BridgeEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    async def call(self, op: str, args: Json | None = None, *, seconds: float) -> Any:
        """Raises BridgeRefused, and Unreachable when there is no answer within `seconds`."""
        if self._ended:
            raise _gone()
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._write({"id": number, "op": op, "args": args or {}})
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise Unreachable(f"WhatsApp Web did not answer within {seconds:g} s.", maybe_sent=True) from None
        finally:
            self._waiting.pop(number, None)

    async def _write(self, message: Json) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            async with self._writing:
                stdin.write(json.dumps(message).encode() + b"\n")
                await stdin.drain()
        except ConnectionError:
            raise _gone() from None

    async def stop(self) -> None:
        """Lets Chromium write the login to disk; what does not end by itself is killed."""
        try:
            async with asyncio.timeout(_STOPPING_SECONDS):
                self.close()
                await self._process.wait()
        except TimeoutError:
            logger.warning("The WhatsApp bridge did not end by itself and is killed.")
        finally:
            self.kill()
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
            await free_profile(self._data)

    def close(self) -> None:
        """It takes the end of its parent's pipe for a farewell."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """The bridge, and the Chromium that it started."""
        if self._process.returncode is None:
            _kill(_family(self._process.pid))

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            while line := await stdout.readline():
                self._take(line)
        except ValueError:
            logger.exception("The WhatsApp bridge sent a line that is too long.")
            self.kill()
        finally:
            self._ended = True
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(_gone(maybe_sent=True))
            self._events.put_nowait(None)

    def _take(self, line: bytes) -> None:
        try:
            message = cast("Json", value_in(line, OF_OURS))
        except ValueError as error:
            # It may have been an event: whoever hears of it looks for what is missing.
            logger.warning("The WhatsApp bridge sent a line of %d bytes that cannot be read: %s", len(line), type(error).__name__)
            self._events.put_nowait(BridgeEvent(UNREAD_LINE, {"error": type(error).__name__}))
            return
        if "event" in message:
            self._events.put_nowait(BridgeEvent(message["event"], message["data"]))
            return
        answer = self._waiting.get(message["id"])
        if answer is None or answer.done():
            return
        if error := message.get("error"):
            answer.set_exception(BridgeRefused(error["code"], error["message"], begun=error["begun"]))
        else:
            answer.set_result(message["result"])

    async def _log(self) -> None:
        """What the library prints may hold what people wrote: for who looks for a fault alone."""
        stderr = self._process.stderr
        assert stderr is not None
        while line := await stderr.readline():
            logger.debug("bridge: %s", line.decode(errors="replace").rstrip()[:500])


async def free_profile(data: Path) -> None:
    """Return when no browser works in the profile any more; one that does not end by itself is killed.

    A browser outlives a bridge or a manager that was killed, and writes the login to disk until its end. A second one beside it takes the
    profile for broken and asks for a new login, which is lost with its end.
    """
    patience = time.monotonic() + _STOPPING_SECONDS
    while left := await asyncio.to_thread(_browsers, data / "session"):
        late = time.monotonic() - patience
        if late > _KILLED_SECONDS:
            logger.error("A browser that an earlier bridge has left cannot be ended.")
            return
        if late > 0:
            _kill(left)
        await asyncio.sleep(_LOOK_SECONDS)


def _browsers(profile: Path) -> list[psutil.Process]:
    argument = f"--user-data-dir={profile.absolute()}"
    return [process for process in psutil.process_iter(["cmdline"]) if argument in (process.info["cmdline"] or ())]


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _make_folder(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)


def _gone(*, maybe_sent: bool = False) -> Unreachable:
    return Unreachable("The WhatsApp Web of this instance has ended and is being started again.", maybe_sent=maybe_sent)


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [*parent.children(recursive=True), parent]
    except psutil.Error:
        return []

"""Has a voice message written down, by a command or by a server that speaks OpenAI's API.

The sound is a stranger's, and so are the words. A command is run without a shell, with none of this program's own settings in its environment,
and all that it started ends with it. A server is reached through the guard of all URLs, and its answer is bounded.
"""

import json
import os
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
from anyio.abc import Process

from mcp_messenger.config import PREFIX
from mcp_messenger.config.settings import OF_STORE
from mcp_messenger.config.transcriber import FILE, TranscriberConfig
from mcp_messenger.net.mime import mime_of, safe_name
from mcp_messenger.net.network_policy import NetworkPolicy
from providers.text import clean

KINDS = frozenset({"voice", "audio"})
ANSWER_MAX = 1_000_000
TEXT_MAX = 20_000
"""Characters of a transcript."""
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Answers of a server after which it may take the same file later."""


class NotHeard(Exception):
    """No transcript was made. `may_come`: it may be made at another try. The reason holds no words of the sound, and none of the server's."""

    def __init__(self, reason: str, *, may_come: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.may_come = may_come


class Transcriber:
    """Writes one file down at a time."""

    def __init__(self, config: TranscriberConfig, policy: NetworkPolicy, tls: Callable[[], ssl.SSLContext]) -> None:
        self._config = config
        self._policy = policy
        self._tls = tls
        self._turn = anyio.Lock()

    def hears(self, media: Mapping[str, Any], size: int) -> bool:
        """Return whether a transcript is made of such a file of so many bytes."""
        duration = media.get("duration")
        is_short = not isinstance(duration, int | float) or duration <= self._config.longest
        return media.get("kind") in KINDS and 0 < size <= self._config.max_bytes and is_short

    async def hear(self, path: Path) -> str:
        """Return what is said in a file, cleaned and cut; empty: nothing. Raises NotHeard."""
        async with self._turn:
            try:
                with anyio.fail_after(self._config.seconds):
                    text = await (self._run(path) if self._config.url is None else self._ask(self._config.url, path))
            except TimeoutError:
                raise NotHeard(f"The transcriber took longer than {self._config.seconds:g} s.", may_come=True) from None
        return clean(text).strip()[:TEXT_MAX]

    async def _run(self, path: Path) -> str:
        command = [part.replace(FILE, str(path)) for part in self._config.command]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX) and name not in OF_STORE}
        try:
            process = await anyio.open_process(
                command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=environment, cwd=tempfile.gettempdir(), start_new_session=True
            )
        except OSError as error:
            raise NotHeard(f"The transcriber's command cannot be started: {error.strerror}.", may_come=True) from None
        try:
            assert process.stdout is not None
            said = await _bounded(process.stdout)
            code = await process.wait()
        finally:
            await _end(process)
        if code != 0:
            raise NotHeard(f"The transcriber's command ended with {code}.", may_come=False)
        return said.decode(errors="replace")

    async def _ask(self, url: str, path: Path) -> str:
        import httpx

        from mcp_messenger.errors import FetchRefused
        from mcp_messenger.net.fetch import GuardedTransport, words_of

        content = await anyio.to_thread.run_sync(path.read_bytes)
        mime = mime_of(content, None, path.name)
        key = self._config.key
        headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        # Servers judge by the name's ending, and the name is a stranger's.
        files = {"file": (safe_name("voice", mime), content, mime)}
        data = {"model": self._config.model, "response_format": "json"}
        try:
            async with (
                httpx.AsyncClient(transport=GuardedTransport(self._policy, tls=self._tls()), trust_env=False, timeout=self._config.seconds) as client,
                client.stream("POST", url, headers=headers, data=data, files=files) as response,
            ):
                if response.status_code != 200:
                    raise NotHeard(f"The transcriber answered {response.status_code}.", may_come=response.status_code in AGAIN)
                body = await _bounded(response.aiter_bytes())
        except FetchRefused as error:
            raise NotHeard(f"{error.detail} {error.hint or ''}".strip(), may_come=True) from None
        except httpx.HTTPError as error:
            raise NotHeard(f"The transcriber does not answer: {words_of(error)}.", may_come=True) from None
        try:
            text = json.loads(body).get("text")
        except (ValueError, AttributeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise NotHeard("The transcriber's answer has no text.", may_come=False)
        return text


async def _bounded(chunks: AsyncIterator[bytes]) -> bytes:
    """Return all of it. Raises NotHeard where that is more than any transcript."""
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) > ANSWER_MAX:
            raise NotHeard(f"The transcriber said more than {ANSWER_MAX} bytes.", may_come=False)
    return body


async def _end(process: Process) -> None:
    """End a command with all that it has started."""
    with anyio.CancelScope(shield=True):
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        await process.wait()
        await process.aclose()

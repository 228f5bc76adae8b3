"""The addresses of instances: TCP ports on which a server listens for one instance each.

A server listens for every instance but those that another server runs: its own ones, the stopped ones (their chats can be read, and they
can be started), and those that a stdio process runs, which listens on nothing. Each call is carried out through the store like any other,
so it does not matter to the caller who listens.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

import anyio

from db import addresses
from db.addresses import Candidate
from db.database import Database
from mcp_messenger.observability.workers import Workers

log = logging.getLogger(__name__)

INSTANCE = "address_of"
"""The id of the instance whose address is called, in the state of an HTTP request."""
REMEMBER = 60.0
"""Seconds for which a port that another program uses is left alone."""
PATIENCE = 15.0
"""Seconds that a new owner waits for another server of this installation to close the port, before it chooses another one."""

Close = Callable[[], None]
Listen = Callable[[int, Mapping[str, Any]], Awaitable[Close]]


class Addresses:
    """Listens for instances while `run` runs. `ports` None: instances have no addresses here."""

    def __init__(
        self,
        database: Database,
        owner: UUID,
        ports: range | None,
        workers: Workers,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ports = ports
        self._database = database
        self._worker = workers.worker("addresses", vital=False)
        self._owner = owner
        self._patience = patience
        self._clock = clock
        self._due = anyio.Event()
        self._is_running = False
        self._looks: list[anyio.Event] = []
        """Set when the next look at the instances is over."""
        self._open: dict[UUID, tuple[int, Close]] = {}
        self._refused: dict[UUID, float] = {}
        """Since when the port of an instance cannot be had here."""
        self._taken: dict[int, float] = {}
        """Until when ports that others use are left alone."""
        self._last: int | None = None

    @property
    def listening(self) -> dict[UUID, int]:
        """The ports on which this process listens, by instance."""
        return {instance_id: port for instance_id, (port, _) in self._open.items()}

    def wake(self) -> None:
        """Look at the instances now: something about them has changed."""
        self._due.set()

    async def look(self, within: float) -> None:
        """Look at the instances now, and return when that is done, or after so many seconds; at once where nothing listens here."""
        if self._is_running:
            done = anyio.Event()
            self._looks.append(done)
            self.wake()
            with anyio.move_on_after(within):
                await done.wait()

    def clear(self) -> None:
        """Forget which ports others use, and look again."""
        self._taken.clear()
        self._refused.clear()
        self.wake()

    async def run(self, listen: Listen) -> None:
        """Keep listening until cancelled. Returns at once where instances have no addresses."""
        if self.ports is None:
            return
        ports = self.ports
        self._is_running = True
        try:
            # While the store is away, callers at open addresses read that.
            await self._worker.keep(lambda: self._reconcile(listen, ports), self._wait)
        finally:
            self._is_running = False
            for instance_id in list(self._open):
                self._close(instance_id)

    async def _wait(self) -> None:
        await self._due.wait()

    async def _reconcile(self, listen: Listen, ports: range) -> None:
        self._due = anyio.Event()
        looks, self._looks = self._looks, []
        try:
            await self._open_and_close(listen, ports)
        finally:
            for look in looks:
                look.set()

    async def _open_and_close(self, listen: Listen, ports: range) -> None:
        wanted = {one.instance_id: one for one in await addresses.not_elsewhere(self._database, self._owner)}
        for instance_id, (port, _) in list(self._open.items()):
            if instance_id not in wanted or wanted[instance_id].tcp_port != port:
                self._close(instance_id)
        self._refused = {instance_id: since for instance_id, since in self._refused.items() if instance_id in wanted}
        for instance_id, one in wanted.items():
            if instance_id not in self._open:
                await self._open_for(one, listen, ports)

    def _close(self, instance_id: UUID) -> None:
        _, close = self._open.pop(instance_id)
        close()

    async def _open_for(self, one: Candidate, listen: Listen, ports: range) -> None:
        if one.tcp_port is not None and one.tcp_port in ports:
            try:
                await self._serve(one, one.tcp_port, listen)
            except OSError as error:
                if not await self._may_move(one):
                    return
                log.info("port %s cannot be used: %s", one.tcp_port, error.strerror, extra={"instance_id": str(one.instance_id)})
                self._taken[one.tcp_port] = self._clock() + REMEMBER
            else:
                if one.trouble is not None:
                    await addresses.set_trouble(self._database, one.instance_id, None)
                return
        await self._choose(one, listen, ports)

    async def _serve(self, one: Candidate, port: int, listen: Listen) -> None:
        self._open[one.instance_id] = port, await listen(port, {INSTANCE: one.instance_id})
        self._refused.pop(one.instance_id, None)

    async def _may_move(self, one: Candidate) -> bool:
        """Return whether the instance may get another port. Not while another server may just be about to close the one that it has."""
        if not await addresses.has_other_servers(self._database, self._owner):
            return True
        since = self._refused.setdefault(one.instance_id, self._clock())
        return one.is_owned and self._clock() - since >= self._patience

    async def _choose(self, one: Candidate, listen: Listen, ports: range) -> None:
        # A port on which this process still listens for an instance that was just deleted is not another program's: the next look frees it.
        used, reason = set(await addresses.used_ports(self._database)) | set(self.listening.values()), None
        for port in self._rotation(ports, used):
            if port in used or self._taken.get(port, 0.0) > self._clock():
                continue
            try:
                await self._serve(one, port, listen)
            except OSError as error:
                reason = error.strerror
                self._taken[port] = self._clock() + REMEMBER
                continue
            if await addresses.claim(self._database, one.instance_id, port, former=one.tcp_port):
                self._last = port
                return
            # Another server has given the port away, or a port to this instance: the next look sees it.
            self._close(one.instance_id)
            self.wake()
            return
        trouble = f"No port from {ports[0]} to {ports[-1]} is free{f' ({reason})' if reason else ''}."
        if one.trouble != trouble:
            log.warning("no address: %s", trouble, extra={"instance_id": str(one.instance_id)})
            await addresses.free_orphans(self._database)
            await addresses.set_trouble(self._database, one.instance_id, trouble)

    def _rotation(self, ports: range, used: set[int]) -> Iterator[int]:
        """All ports, beginning behind the newest: who still calls a port that was freed should not reach another instance there."""
        newest = max(used & set(ports), default=ports[0] - 1) if self._last is None else self._last
        begin = newest + 1 - ports[0]
        return (ports[(begin + number) % len(ports)] for number in range(len(ports)))

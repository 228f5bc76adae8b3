"""The images of the instances: found, or else built from the checkout or pulled, once for all who wait for one."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import anyio

from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.errors import EngineAway, EngineRefused, NoSuchThing, NotReady
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.observability.workers import Workers
from providers.states import InstanceState
from providers.text import clean_line

log = logging.getLogger(__name__)

STEP_WITHIN = 1800
"""Seconds that a build may say nothing."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
"""Seconds after a failure until it is tried again: registries count who asks."""


class Preparing(NotReady):
    """The image is on its way."""

    def __init__(self, progress: str) -> None:
        super().__init__("", InstanceState.PROCESSING, progress)


class Images:
    """One for each stage of the Dockerfile that some messenger needs."""

    def __init__(self, engine: Engine, config: ContainerConfig, moved: Callable[[], None], workers: Workers) -> None:
        """`moved` is called when there is something new to say."""
        self._engine = engine
        self._config = config
        self._moved = moved
        self._workers = workers
        self._images: dict[str, _Image] = {}
        self._added = anyio.Event()

    async def id(self, stage: str) -> str:
        """Raises Preparing while it is on its way, and why it cannot be had until it is time to try again."""
        image = self._images.get(stage)
        if image is None:
            image = self._images[stage] = _Image(self._engine, self._config, stage, self._moved)
            self._added.set()
        return await image.id()

    async def run(self) -> None:
        """Fetch them whenever they are wanted, until cancelled."""
        started: set[str] = set()
        async with anyio.create_task_group() as group:
            while True:
                self._added = anyio.Event()
                for stage in self._images.keys() - started:
                    group.start_soon(self._workers.worker("images", vital=False, stage=stage).keep, self._images[stage].fetch_wanted)
                    started.add(stage)
                await self._added.wait()


class _Image:
    def __init__(self, engine: Engine, config: ContainerConfig, stage: str, moved: Callable[[], None]) -> None:
        self._engine = engine
        self._config = config
        self._name, self._target = config.image_of(stage)
        self._moved = moved
        self._wanted = anyio.Event()
        self._progress: str | None = None
        self._trouble: EngineRefused | EngineAway | None = None
        self._pause = FIRST_PAUSE
        self._not_before = 0.0

    async def id(self) -> str:
        try:
            found = await self._engine.call(lambda api: api.inspect_image(self._name))
            return found["Id"]
        except NoSuchThing:
            if self._trouble is not None and anyio.current_time() < self._not_before:
                raise self._trouble from None
            self._progress = self._progress or f"The image {self._name} is missing and is being fetched."
            self._wanted.set()
            raise Preparing(self._progress) from None

    async def fetch_wanted(self) -> None:
        """Wait until somebody wants it, and fetch it."""
        await self._wanted.wait()
        try:
            await self._fetch()
            log.info("image %s is there", self._name)
            self._trouble, self._pause = None, FIRST_PAUSE
        except (EngineAway, EngineRefused) as error:
            log.warning("image %s cannot be had: %s", self._name, error.detail)
            self._trouble, self._not_before = error, anyio.current_time() + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        finally:
            self._progress = None
            self._wanted = anyio.Event()
            self._moved()

    async def _fetch(self) -> None:
        config = self._config
        if config.build_from is None:
            repository, _, tag = self._name.partition(":") if "/" not in self._name else _split(self._name)
            await self._follow("pulled", lambda api: api.pull(repository, tag or "latest", stream=True, decode=True))
            return
        options = {"path": str(config.build_from), "tag": self._name, "buildargs": dict(config.build_args), "target": self._target}
        await self._follow("built", lambda api: api.build(**options, rm=True, forcerm=True, decode=True, timeout=STEP_WITHIN))

    async def _follow(self, how: str, begin: Callable[[Any], Iterable[Mapping[str, Any]]]) -> None:
        try:
            async with self._engine.stream(begin) as items:
                async for item in items:
                    if item.get("error"):
                        raise EngineRefused(clean_line(item["error"]))
                    self._say(how, item)
        except EngineRefused as error:
            raise EngineRefused(
                f"The image {self._name} could not be {how}: {error.detail.rstrip('.')}.",
                hint=f"Build it yourself with 'docker build --target {self._target} -t {self._name} .', or set MCP_MESSENGER_DOCKER_IMAGE.",
            ) from error

    def _say(self, how: str, item: Mapping[str, Any]) -> None:
        line = clean_line(" ".join(str(item[key]) for key in ("stream", "status", "progress") if item.get(key)))
        # Of a build only the steps: what they print is of no use here.
        if not line or (how == "built" and not line.startswith("Step ")):
            return
        self._progress = f"The image {self._name} is being {how}: {line[:120]}"
        self._moved()


def _split(image: str) -> tuple[str, str, str]:
    """The name and the tag; a registry's port is no tag."""
    host, slash, rest = image.rpartition("/")
    name, colon, tag = rest.partition(":")
    return f"{host}{slash}{name}", colon, tag

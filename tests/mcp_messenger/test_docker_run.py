"""The image by itself, as somebody starts it who has read nothing: it says why it is not reached, and what it says works as it is printed."""

import re
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.program import PATIENCE
from tests.waiting import until_blocking

pytestmark = pytest.mark.timeout(600)


@contextmanager
def started(engine: Any, arguments: list[str]) -> Generator[str]:
    """Run the image with these arguments of `docker run`, on a port that the engine chooses; give the container's id."""
    id = subprocess.run(["docker", "run", "-d", "-p", "127.0.0.1::3000", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield id
    finally:
        engine.remove_container(id, force=True, v=True)


def test_a_container_that_is_not_reached_says_so_and_how_it_would_be(engine: Any, image: str) -> None:
    def said(id: str) -> str:
        return engine.logs(id).decode()

    with started(engine, [image]) as id:
        until_blocking(lambda: "to stop." in said(id), PATIENCE * 3)
        (command,) = re.findall(r"docker run (.*127\.0\.0\.1:3000:3000.*) IMAGE", said(id))
        assert "127.0.0.1 is reached from inside it alone" in said(id)
        with pytest.raises(httpx.HTTPError):
            _client(engine, id).get("/health")
    # As it is printed, but for the port and the volume, which others may use here.
    variables = re.findall(r"-e \S+", command)
    assert len(variables) == 2
    with started(engine, [*" ".join(variables).split(), image]) as id:
        until_blocking(lambda: "to stop." in said(id), PATIENCE * 3)
        assert "This is a container" not in said(id)
        made = _client(engine, id).post("/api/v1/instances", json={"provider": "sandbox", "credentials": {"auto_scan": True}}).json()
        assert _client(engine, id).get("/api/v1/instances").json()["instances"][0]["id"] == made["instance_id"]


def _client(engine: Any, id: str) -> httpx.Client:
    port = engine.port(id, 3000)[0]["HostPort"]
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE)

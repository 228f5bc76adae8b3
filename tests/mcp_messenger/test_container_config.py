"""Settings of containers, and who comes through the gateway: what needs no engine."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mcp_messenger.api.authentication import authenticate
from mcp_messenger.app import build
from mcp_messenger.config import Config
from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.config.environment import from_environment
from mcp_messenger.errors import InvalidInput, NotAuthenticated
from mcp_messenger.instances.runtimes.containers import readable
from mcp_messenger.net.gateways import gateways

PREFIX = "MCP_MESSENGER_"


def read(**environ: str) -> ContainerConfig:
    return from_environment({PREFIX + name: value for name, value in environ.items()}).containers


def test_what_is_read_from_the_environment() -> None:
    assert read().enabled is None
    assert read(DOCKER="1", CONTAINER_MEMORY="512m", CONTAINER_CPUS="0.5", CONTAINER_PIDS="64") == ContainerConfig(
        enabled=True, memory=512 * 2**20, cpus=0.5, pids=64, build_from=read().build_from
    )
    assert read(DOCKER="0").enabled is False
    assert read(DOCKER_BUILD_ARGS="PYTHON_IMAGE=python:3.12-slim, X=a=b").build_args == {"PYTHON_IMAGE": "python:3.12-slim", "X": "a=b"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOCKER", "maybe"),
        ("CONTAINER_MEMORY", "much"),
        ("CONTAINER_MEMORY", "1m"),
        ("CONTAINER_CPUS", "0"),
        ("CONTAINER_CPUS", "nan"),
        ("CONTAINER_PIDS", "-1"),
        ("DOCKER_BUILD_ARGS", "PYTHON_IMAGE"),
        ("DOCKER_BUILD_FROM", "/nowhere"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=f"{PREFIX}{name}"):
        read(**{name: value})


ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def test_the_gateway_is_that_of_the_default_route(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text(ROUTES)
    assert gateways(routes) == {"172.18.0.1"}
    assert gateways(tmp_path / "nothing") == frozenset()


def test_without_a_token_only_a_trusted_gateway_lets_it_listen_to_others(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no admin token is set"):
        Config(data_dir=tmp_path, host="0.0.0.0").check()
    Config(data_dir=tmp_path, host="0.0.0.0", trust_gateway=True).check()


def asked_by(peer: str | None) -> dict[str, Any]:
    """Return the scope of a request without a token."""
    return {"type": "http", "headers": [], "client": None if peer is None else (peer, 40000)}


@pytest.mark.anyio
async def test_who_comes_through_the_gateway_is_the_administrator_and_nobody_else(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text(ROUTES)
    in_container = Config(data_dir=tmp_path, host="0.0.0.0", trust_gateway=True, routes=routes)
    trusting = build(in_container)
    assert (await authenticate(trusting, asked_by("172.18.0.1"))).is_admin
    for peer in ("172.18.0.2", "127.0.0.1", None):
        with pytest.raises(NotAuthenticated):
            await authenticate(trusting, asked_by(peer))
    with_token = build(dataclasses.replace(in_container, admin_token=SecretStr("fake-token")))
    with pytest.raises(NotAuthenticated):
        await authenticate(with_token, asked_by("172.18.0.1"))


def test_a_containers_line_is_shown_without_secrets_and_controls() -> None:
    assert readable(b"token=123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA \x1b[31mred\xff") == "token=*** [31mred�"

"""Every call of the REST face, with anything its OpenAPI document allows and much that it does not: no 500, and answers as documented."""

from collections.abc import Generator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from db.embedded import EmbeddedPostgres
from mcp_messenger.api.rest.aliases import OF_INSTANCE, OF_MANAGER, SPELLED_OF_INSTANCE, SPELLED_OF_MANAGER
from mcp_messenger.api.rest.streams import LOGS
from mcp_messenger.operations.operation import Transport
from mcp_messenger.operations.table import BY_NAME, OPERATIONS
from mcp_messenger.policy.touch import Touch
from tests.postgres import fresh_database
from tests.program import environment, program

ROWS = [row for row in (*OPERATIONS, *SPELLED_OF_INSTANCE, *SPELLED_OF_MANAGER) if Transport.REST in row.transports]
CALLS: dict[tuple[str, str], Touch] = {
    **{(row.method, row.path): row.touches or Touch.NOTHING for row in ROWS},
    (LOGS.method, LOGS.path): Touch.NOTHING,
    **{(BY_NAME[alias.operation].method, alias.path): BY_NAME[alias.operation].touches or Touch.NOTHING for alias in (*OF_INSTANCE, *OF_MANAGER)},
}
LEAVES_ALONE = frozenset({Touch.NOTHING, Touch.PRESENCE, Touch.SEND, Touch.GROUP, Touch.PUBLISH})
"""What such a call changes keeps none of the others from working on the same instance."""
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 12
NO_PROXY = {"no_proxy": "*"}


@schemathesis.serializer("application/zip")
def archive(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Return the bytes of an archive, which is seldom one."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def server(embedded: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with fresh_database(embedded.url) as url, program(["serve", "--port", "0"], environment(tmp_path_factory.mktemp("fuzz"), url)) as running:
        yield running.url


@pytest.fixture(scope="module")
def schema(server: str) -> Any:
    return schemathesis.openapi.from_url(f"{server}/openapi.json", proxies=NO_PROXY)


@pytest.fixture(scope="module")
def untouched() -> list[str]:
    """The instance that a test left as it was, for the next one."""
    return []


@pytest.fixture
def instance_id(server: str, untouched: list[str], method: str, path: str) -> Generator[str]:
    """A sandbox instance that talked to somebody."""
    with httpx.Client(base_url=f"{server}/api/v1", trust_env=False, timeout=30) as client:
        if not untouched:
            made = client.post("/instances", json={"provider": "sandbox", "credentials": {"auto_scan": True, "page": False}}).raise_for_status()
            untouched.append(made.json()["instance_id"])
            client.post(f"/instances/{untouched[0]}/send", json={"to": "ann", "message": "hello"})
        yield untouched[0]
        if CALLS[method, path] not in LEAVES_ALONE:
            client.delete(f"/instances/{untouched.pop()}")


@pytest.mark.parametrize(("method", "path"), CALLS, ids=lambda part: part.replace("/", " ").strip())
def test_anything(schema: Any, instance_id: str, method: str, path: str) -> None:
    operation = schema[f"/api/v1{path}"][method]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(data=st.data(), mode=st.sampled_from(GenerationMode), known=st.booleans())
    def run(data: st.DataObject, mode: GenerationMode, known: bool) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if known:
            names = {"instance_id": instance_id, "chat_id": "ann", "message_id": "1", "provider": "sandbox"}
            case.path_parameters |= {name: value for name, value in names.items() if name in case.path_parameters}
        _keep_short_and_local(case)
        answer = case.call(timeout=30, proxies=NO_PROXY)
        # What this server is not set up for is said with 501, which is no accident.
        case.validate_response(answer, checks=[*CHECKS, *([] if answer.status_code == 501 else [not_a_server_error])])
        if answer.status_code >= 400:
            assert {"type", "title", "status", "code", "detail"} <= answer.json().keys()

    run()


def _keep_short_and_local(case: Any) -> None:
    """No waiting for what does not come, no stream without end, no address outside this computer."""
    if case.path.endswith(("/wait", "/replies")):
        case.query = {**(case.query or {}), "timeout": 0}
    elif case.path.endswith("/logs"):
        case.query = {**(case.query or {}), "follow": "no"}
    for body in (case.body, case.body.get("api_webhook_schema") if isinstance(case.body, dict) else None):
        if isinstance(body, dict):
            body.update({name: "http://127.0.0.1:9/" for name in ("url", "source") if isinstance(body.get(name), str)})

import json
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus

import pytest

import db.errors
import mcp_messenger.errors
from mcp_messenger.api.problem import STATUS, problem, problem_response
from mcp_messenger.errors import NoSuchInstance, NotAuthenticated, NotReady
from providers.errors import MessengerError, RateLimited, Unreachable
from providers.states import InstanceState


def kinds(root: type[MessengerError] = MessengerError) -> Iterator[type[MessengerError]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def test_every_code_has_a_status_and_every_status_a_code() -> None:
    rooms = ("providers.", mcp_messenger.errors.__name__, db.errors.__name__)
    codes = {kind.code for kind in kinds() if kind.__module__.startswith(rooms)}
    assert codes == set(STATUS)
    assert all(HTTPStatus(status) >= HTTPStatus.BAD_REQUEST for status in STATUS.values())


def test_the_shape() -> None:
    assert problem(NoSuchInstance("x")) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": "instance_not_found",
        "detail": "No instance 'x'; call list_instances.",
    }


def test_hint_and_waiting_time() -> None:
    details = problem(RateLimited(2.5))
    assert (details["hint"], details["retry_after"], details["status"]) == ("Try again in 2.5 s.", 2.5, 429)
    assert problem_response(RateLimited(2.5)).headers["retry-after"] == "3"
    assert "retry-after" not in problem_response(Unreachable(maybe_sent=True)).headers


def test_the_answer() -> None:
    response = problem_response(NotReady("ф", InstanceState.QR_READY))
    assert response.status == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["content-length"] == str(len(response.body))
    assert json.loads(response.body)["detail"] == "Instance 'ф' is qr_ready."


@pytest.mark.parametrize(("error", "challenge"), [(NotAuthenticated(), "Bearer"), (NoSuchInstance("x"), None)])
def test_only_a_missing_login_is_challenged(error: MessengerError, challenge: str | None) -> None:
    assert problem_response(error).headers.get("www-authenticate") == challenge


def test_the_guards_need_no_framework() -> None:
    code = "import sys, mcp_messenger.api.middleware, mcp_messenger.api.problem; sys.exit(bool({'starlette', 'fastapi'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)

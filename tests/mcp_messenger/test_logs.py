import json
import logging
import subprocess
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_messenger.observability.logs import Formatter, redacted
from mcp_messenger.security.vault import new_api_key

TELEGRAM = "123456789:AAfakefakefakefakefakefakefakefakefa"
DISCORD = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GfakeX.fakefakefakefakefakefakefakefake"
WEB_TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJmYWtlIn0.c2lnbmF0dXJl"


def record(message: str, *args: object, extra: Mapping[str, object] | None = None, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.getLogger("tests").makeRecord("tests.logs", logging.INFO, __file__, 1, message, args, info, extra=extra)


def as_text(made: logging.LogRecord) -> str:
    return Formatter(json=False).format(made).partition(" ")[2]


def test_one_line_of_keys_and_values() -> None:
    made = record("sent %d to %s", 2, "chat a", extra={"instance": "abc", "seconds": 0.5})
    assert as_text(made) == 'level=info logger=tests.logs message="sent 2 to chat a" instance=abc seconds=0.5'


def test_one_json_object() -> None:
    fields = json.loads(Formatter(json=True).format(record("привет %s", "x", extra={"instance": "abc"})))
    assert fields.pop("time").endswith("+00:00")
    assert fields == {"level": "info", "logger": "tests.logs", "message": "привет x", "instance": "abc"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"GET https://api.example/bot{TELEGRAM}/getMe", "GET https://api.example/bot***/getMe"),
        ("Authorization: Bearer abcdef.123456", "Authorization: Bearer ***"),
        ("key mm_fake-fake_fakefakefakefakefake used", "key *** used"),
        ("xoxb-1234-5678-fakefake and xapp-1-A0-fakefake", "*** and ***"),
        (DISCORD, "***"),
        (WEB_TOKEN, "***"),
        ("EAAfakefakefakefakefakefake", "***"),
        ("postgresql://user:p4ss@db:5432/x", "postgresql://user:***@db:5432/x"),
        ("/hook?hub.verify_token=fake1&x=2", "/hook?hub.verify_token=***&x=2"),
        ("?access_token=fake1#frag client_secret=fake2", "?access_token=*** client_secret=***"),
        ("{'app_secret': 'fake1', \"api_key\": \"fake2\", 'n': 1}", "{'app_secret': ***, \"api_key\": ***, 'n': 1}"),
        ("X-Telegram-Bot-Api-Secret-Token: fake1", "X-Telegram-Bot-Api-Secret-Token: ***"),
    ],
)
def test_secrets_are_left_out(text: str, kept: str) -> None:
    assert redacted(text) == kept
    error = ValueError(text)
    for made in (record(text), record("%s", text), record("it failed", error=error), record("x", extra={"detail": text})):
        line = Formatter(json=True).format(made)
        assert json.loads(line).get("exception", kept).endswith(kept)
        assert "fake" not in line
        assert "fake" not in Formatter(json=False).format(made)


@pytest.mark.parametrize(
    "text",
    [
        "the token: it was refused",
        "invalid_auth: token expired",
        "https://bot.example:3000/api/v1/instances?limit=20",
        "providers.telegram.provider.TelegramProvider.start took 3 s",
        "2026-01-02T03:04:05.678+00:00 at 127.0.0.1:3000",
        "instance 0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b is ready",
        "mail to bot@example.org",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_our_own_keys_are_left_out() -> None:
    assert redacted(f"key {new_api_key()} used") == "key *** used"


def test_the_whole_chain_of_errors_is_without_secrets() -> None:
    try:
        try:
            raise ConnectionError(f"https://api.example/bot{TELEGRAM}/getMe")
        except ConnectionError as error:
            raise RuntimeError("start failed: token=fake1234") from error
    except RuntimeError as error:
        line = as_text(record("x", error=error))
    assert "ConnectionError: https://api.example/bot***/getMe" in line
    assert "start failed: token=***" in line
    assert "fake" not in line
    assert "\n" not in line


def test_arguments_that_do_not_fit_are_shown_without_secrets() -> None:
    line = as_text(record("%d sent", f"token=fake1 {TELEGRAM}"))
    assert line.startswith('level=info logger=tests.logs message="%d sent')
    assert "fake" not in line


@given(st.text(st.characters()))
def test_no_text_forges_a_line_or_hides_in_one(text: str) -> None:
    for as_json in (False, True):
        line = Formatter(json=as_json).format(record("%s", text, extra={"instance": text}))
        assert line.splitlines() == [line]
        assert not any(character in line for character in "\x1b\x7f\x9b\u202e\u200b\u2066\ufeff")
        line.encode()
    assert json.loads(line)["message"] == redacted(text)


def test_a_message_cannot_pose_as_another_field() -> None:
    assert as_text(record("x level=error\nlevel=error")) == 'level=info logger=tests.logs message="x level=error\\nlevel=error"'


CONFIGURED = """
import logging, warnings
from mcp_messenger.observability import logs
logging.basicConfig(level="DEBUG", format="first: %(message)s")
logs.configure("info", json=True)
logging.basicConfig(level="DEBUG", format="second: %(message)s")
logging.getLogger("providers.x").debug("too fine")
logging.getLogger("providers.x").info("heard")
logging.getLogger("httpx").info("GET https://api.example/")
logging.getLogger("uvicorn.access").info("GET /")
logging.getLogger("httpx").warning("odd")
warnings.warn("token=fake1")
"""


def test_a_process_logs_to_stderr_alone() -> None:
    done = subprocess.run([sys.executable, "-c", CONFIGURED], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    messages = [json.loads(line)["message"] for line in done.stderr.splitlines()]
    assert messages[:2] == ["heard", "odd"]
    assert "token=***" in messages[2]
    assert len(messages) == 3


def test_an_unknown_level_is_refused() -> None:
    code = "from mcp_messenger.observability import logs; logs.configure('loud', json=False)"
    assert (
        b"'loud' is no level of logs. Set MCP_MESSENGER_LOG_LEVEL to DEBUG"
        in subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).stderr
    )

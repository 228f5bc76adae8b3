from pathlib import Path

import pytest

from mcp_messenger.config.environment import from_environment
from mcp_messenger.config.rate_limit import RateLimit, parse_rate_limit
from mcp_messenger.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("600/min", RateLimit(600, 60)),
        ("10/s", RateLimit(10, 1)),
        ("5000 / hour", RateLimit(5000, 3600)),
        ("1/MINUTE", RateLimit(1, 60)),
        ("0", None),
    ],
)
def test_rates(text: str, rate: RateLimit | None) -> None:
    assert parse_rate_limit(text, "X") == rate


@pytest.mark.parametrize("text", ["many", "600", "600/fortnight", "-1/s", "0/s", "1.5/s", "/min", "999999999/s", "600/min;drop"])
def test_what_is_no_rate_names_the_setting_and_the_form(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="MCP_MESSENGER_RATE_LIMIT") as refused:
        from_environment({"MCP_MESSENGER_DATA_DIR": str(tmp_path), "MCP_MESSENGER_RATE_LIMIT": text})
    assert "600/min" in (refused.value.hint or "")


def test_a_limit_is_set_where_nobody_says_otherwise(tmp_path: Path) -> None:
    assert from_environment({"MCP_MESSENGER_DATA_DIR": str(tmp_path)}).rate_limit == RateLimit(6000, 60)
    assert from_environment({"MCP_MESSENGER_DATA_DIR": str(tmp_path), "MCP_MESSENGER_RATE_LIMIT": "0"}).rate_limit is None

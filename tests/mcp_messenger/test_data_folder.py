"""The data folder as clients of MCP write it into their configuration."""

from pathlib import Path

import pytest

from mcp_messenger.config.environment import from_environment
from mcp_messenger.errors import InvalidInput


@pytest.mark.parametrize(
    ("folder", "variable"),
    [("${HOME}/data", "${HOME}"), ("$HOME/data", "$HOME"), ("%APPDATA%\\messenger", "%APPDATA%"), ("${user_config.folder}", "${user_config")],
)
def test_a_data_folder_with_a_variable_that_nobody_replaced_is_refused(folder: str, variable: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        from_environment({"MCP_MESSENGER_DATA_DIR": folder})
    assert "MCP_MESSENGER_DATA_DIR" in str(caught.value)
    assert variable in str(caught.value)


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert from_environment({"MCP_MESSENGER_DATA_DIR": "~/chat-data"}).data_dir == tmp_path / "chat-data"


def test_a_dollar_inside_a_name_is_part_of_it() -> None:
    assert from_environment({"MCP_MESSENGER_DATA_DIR": "/srv/a$b"}).data_dir == Path("/srv/a$b")

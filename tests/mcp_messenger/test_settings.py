"""Settings in the environment: a misspelt one must not be ignored."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_messenger.config.environment import from_environment
from mcp_messenger.errors import InvalidInput
from tests.program import ROOT


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("MCP_MESSENGER_READONLY", "MCP_MESSENGER_READ_ONLY"),
        ("MCP_MESSENGER_ADMINTOKEN", "MCP_MESSENGER_ADMIN_TOKEN"),
        ("MCP_MESSENGER_DATADIR", "MCP_MESSENGER_DATA_DIR"),
        ("MCP_MESSENGER_TOOLSET", "MCP_MESSENGER_TOOLSETS"),
        ("MCP_MESSENGER_XYZZY", None),
    ],
)
def test_a_setting_that_does_not_exist_is_refused_with_the_one_it_may_mean(written: str, meant: str | None) -> None:
    with pytest.raises(InvalidInput, match=written) as caught:
        from_environment({written: "1"})
    assert (meant is None) == ("meant" not in (caught.value.hint or ""))
    assert meant is None or meant in (caught.value.hint or "")


def test_the_program_does_not_start_with_a_misspelt_setting(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MCP_MESSENGER_READONLY": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "mcp_messenger", "serve"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode != 0
    assert "Is MCP_MESSENGER_READ_ONLY meant?" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_every_setting_of_the_examples_exists() -> None:
    files = [
        *ROOT.glob("examples/**/*env*"),
        *ROOT.glob("examples/**/*.yml"),
        *ROOT.glob("examples/**/*.json"),
        ROOT / "Dockerfile",
        ROOT / "README.md",
    ]
    named = {name for file in files if file.is_file() for name in re.findall(r"MCP_MESSENGER_\w+", file.read_text())}
    assert "MCP_MESSENGER_HOST" in named
    from_environment(dict.fromkeys(named, ""))

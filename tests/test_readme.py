"""The README says what is true."""

import re

from mcp_messenger.alone.settings import SETTINGS as ALONE
from mcp_messenger.config import SETTINGS
from mcp_messenger.relay.settings import SETTINGS as OF_RELAY
from tests.readme import README, generated


def test_its_tables_are_those_of_the_code() -> None:
    text = README.read_text(encoding="utf-8")
    assert generated(text) == text, "run: make readme"


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []


def test_every_variable_that_is_read_is_documented() -> None:
    documented = {setting.name for setting in (*SETTINGS, *ALONE, *OF_RELAY)}
    source = "\n".join(path.read_text(encoding="utf-8") for path in (README.parent / "mcp_messenger").rglob("*.py"))
    mentioned = set(re.findall(r"\bMCP_MESSENGER_[A-Z_]+[A-Z]\b", source))
    files = ("config/__init__.py", "alone/settings.py", "relay/settings.py")
    settings = "\n".join((README.parent / "mcp_messenger" / file).read_text(encoding="utf-8") for file in files)
    assert mentioned <= documented
    assert {f"MCP_MESSENGER_{name}" for name in re.findall(r'(?<!environ\.)get\("([A-Z_]+)"', settings)} <= documented


def test_its_make_targets_exist() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:`|^)make ([a-z]+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert {"run", "test", "demo"} <= targets
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()


def test_no_file_names_a_place_of_the_one_who_wrote_it() -> None:
    """Paths of a machine, and hosts of package registries, have no business in the project."""
    forbidden = re.compile("/" + r"work/|(py)" + r"pi\.org|python" + r"hosted|npm" + r"js\.org")
    root = README.parent
    files = [path for pattern in ("*.py", "*.md", "*.toml", "*.sql", "*.html", "*.lock") for path in root.rglob(pattern)]
    tracked = [path for path in files if not ({".venv", "node_modules", ".npm"} & set(path.parts))]
    assert tracked
    assert [str(path) for path in tracked if forbidden.search(path.read_text(encoding="utf-8"))] == []

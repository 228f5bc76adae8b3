"""What is in the wheel, and that it starts from there."""

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TARGET = re.compile(rf"\bmake ({'|'.join(re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(encoding='utf-8'), re.MULTILINE))})\b")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    code = f"import hatchling.build; print(hatchling.build.build_wheel({str(target)!r}))"
    name = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()[-1]
    return target / name


def test_it_holds_the_three_rooms_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"mcp_messenger", "providers", "db"}
    assert [name for name in names if "test" in name] == []


def test_nothing_that_it_says_needs_a_checkout(wheel: Path) -> None:
    """Who installed it has no Makefile."""
    archive = zipfile.ZipFile(wheel)
    trees = {name: ast.parse(archive.read(name)) for name in archive.namelist() if name.endswith(".py")}
    documents = {id(text) for tree in trees.values() for text in _docstrings(tree)}
    said = [
        f"{name}: {node.value}"
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents and TARGET.search(node.value)
    ]
    assert said == []
    assert TARGET.search("Run `make whatsapp` first.")


def _docstrings(tree: ast.AST) -> Iterator[ast.AST]:
    """Texts that are statements by themselves: nobody is shown them."""
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def test_it_holds_migrations_and_pages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    migrations = {f"db/migrations/versions/{path.name}" for path in (ROOT / "db/migrations/versions").glob("*.sql")}
    assert len(migrations) >= 6
    assert migrations <= names
    assert {"providers/sandbox/page.html", "mcp_messenger/api/pages/docs.js", "providers/locale/ru/LC_MESSAGES/pages.mo"} <= names


def test_it_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "site")!r})
from mcp_messenger.__main__ import check_packages
from db.migrate import packaged_versions
check_packages()
print([str(entry) for entry in packaged_versions().iterdir()])
"""
    ran = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(tmp_path) in ran.stdout

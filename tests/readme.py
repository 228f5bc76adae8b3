"""The generated parts of the README: `python -m tests.readme` writes them, a test checks them."""

import re
from collections.abc import Sequence
from pathlib import Path

from mcp_messenger.alone.settings import SETTINGS as ALONE
from mcp_messenger.config import SETTINGS, Setting
from mcp_messenger.operations.operation import DEFAULT_TOOLSETS, Toolset, Transport
from mcp_messenger.operations.table import OPERATIONS
from mcp_messenger.relay.settings import SETTINGS as OF_RELAY
from providers import REGISTRY, provider_class
from providers.models import Capability

README = Path(__file__).parent.parent / "README.md"


def provider_table() -> str:
    classes = [provider_class(name) for name in sorted(REGISTRY)]
    lines = ["| can | " + " | ".join(cls.title for cls in classes) + " |", "|---|" + "---|" * len(classes)]
    for capability in Capability:
        marks = ["yes" if capability in cls.capabilities else "" for cls in classes]
        lines.append(f"| {capability.replace('_', ' ')} | " + " | ".join(marks) + " |")
    lines.append("| longest text | " + " | ".join(f"{cls.limits.max_text} {cls.limits.text_unit}" for cls in classes) + " |")
    lines.append("| largest file sent | " + " | ".join(_megabytes(cls.limits.max_upload) for cls in classes) + " |")
    return "\n".join(lines)


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:g} MB" if size % 2**20 == 0 else f"{size / 10**6:g} MB"


def tool_table() -> str:
    lines = ["| tool | toolset | what it does |", "|---|---|---|"]
    for toolset in Toolset:
        shown = "default" if toolset in DEFAULT_TOOLSETS else toolset
        lines += [f"| `{row.name}` | {shown} | {row.summary} |" for row in OPERATIONS if row.toolset is toolset and Transport.MCP in row.transports]
    return "\n".join(lines)


def settings_table(settings: Sequence[Setting]) -> str:
    return "\n".join(["| variable | meaning (default) |", "|---|---|", *(f"| `{setting.name}` | {setting.meaning} |" for setting in settings)])


def generated(readme: str) -> str:
    """The README with its generated parts as they should be."""
    tables = {
        "providers": provider_table(),
        "tools": tool_table(),
        "settings": settings_table(SETTINGS),
        "alone": settings_table((*ALONE, *OF_RELAY)),
    }
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        readme = pattern.sub(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", readme)
    return readme


if __name__ == "__main__":
    README.write_text(generated(README.read_text(encoding="utf-8")), encoding="utf-8")

"""Markdown as WhatsApp's marks."""

import pytest

from providers.whatsappweb.markup import to_whatsapp


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**bold** and *italic* and ~~gone~~", "*bold* and _italic_ and ~gone~"),
        ("# A **title**", "*A title*"),
        ("2*3*4 and x**2", "2*3*4 and x**2"),
        ("see [the page](https://example.org/a_b_c)", "see the page (https://example.org/a_b_c)"),
        ("`**code**` and \\*stars\\*", "`**code**` and *stars*"),
        ("```python\n**kwargs\n```\n- one", "```\n**kwargs\n```\n- one"),
    ],
)
def test_marks_become_whatsapps_own_and_code_stays(markdown: str, shown: str) -> None:
    assert to_whatsapp(markdown) == shown

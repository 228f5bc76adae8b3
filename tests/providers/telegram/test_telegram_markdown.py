"""Ordinary Markdown, and what Telegram is given of it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.telegram.markup import to_html
from tests.standins.telegram_bot_api.markup import visible_text


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("plain", "plain"),
        ("**bold** and __bold__", "<b>bold</b> and <b>bold</b>"),
        ("*it* and _it_", "<i>it</i> and <i>it</i>"),
        ("***both***", "<b><i>both</i></b>"),
        ("**bold with *it* inside**", "<b>bold with <i>it</i> inside</b>"),
        ("~~gone~~", "<s>gone</s>"),
        ("`a < b && c`", "<code>a &lt; b &amp;&amp; c</code>"),
        ("```x```", "<code>x</code>"),
        ('[site](https://example.org/a_(b)?x=1&y="2)', '<a href="https://example.org/a_(b)?x=1&amp;y=&quot;2">site</a>'),
        ('[site](https://example.org "Title")', '<a href="https://example.org">site</a>'),
        ("![cat](https://example.org/cat.png)", '<a href="https://example.org/cat.png">cat</a>'),
        ("[**bold** link](tg://user?id=1)", '<a href="tg://user?id=1"><b>bold</b> link</a>'),
        ("[no](javascript:alert(1))", "[no](javascript:alert(1))"),
        ("[relative](/path)", "[relative](/path)"),
        ("# Title", "<b>Title</b>"),
        ("### Title ##", "<b>Title</b>"),
        ("#hashtag", "#hashtag"),
        ("- one\n* two\n+ three", "• one\n• two\n• three"),
        ("1. one\n2. two", "1. one\n2. two"),
        ("> said\n> **he**\nafter", "<blockquote>said\n<b>he</b></blockquote>\nafter"),
        ("```python\nif a < b:\n    **x**\n```\nafter", '<pre><code class="language-python">if a &lt; b:\n    **x**</code></pre>\nafter'),
        ("```\ncode\n```", "<pre>code</pre>"),
        ("```\nnever closed", "<pre>never closed</pre>"),
        ("```\ncode\n``` and words\n```\nafter", "<pre>code\n``` and words</pre>\nafter"),
        ("````\n```\n````", "<pre>```</pre>"),
        ("~~~\n```\n~~~", "<pre>```</pre>"),
        # What Telegram's own modes refuse or garble
        ("snake_case_name, 2*3*4 and x**2 + y**2", "snake_case_name, 2*3*4 and x**2 + y**2"),
        ("这是**重点**内容", "这是<b>重点</b>内容"),
        ("3.50 (net) - a! #1 = {x} | y > z", "3.50 (net) - a! #1 = {x} | y &gt; z"),
        ("an * open and _ open and ` open [ open", "an * open and _ open and ` open [ open"),
        ("**never closed", "**never closed"),
        ("a <b>tag</b> & more", "a &lt;b&gt;tag&lt;/b&gt; &amp; more"),
        (r"\*not italic\* and \_so\_", "*not italic* and _so_"),
        ("five ***** stars", "five ***** stars"),
        ("", ""),
    ],
)
def test_becomes_telegrams_html(markdown: str, html: str) -> None:
    assert to_html(markdown) == html


PIECES = [*"*_~`[]()<>&#-+.!\\|{} \naé🙂", "http://x", "](https://e.org)", "```", "**"]


@given(st.lists(st.sampled_from(PIECES), max_size=100).map("".join))
def test_is_never_markup_that_telegram_refuses(markdown: str) -> None:
    visible_text(to_html(markdown), "HTML")


@pytest.mark.parametrize(
    "unit", ["**a", " _a", "*a", "[a](", "`", "``` a", "~~a", "\\", "> ", "[", "![a]", "**a** *", "__a ", "http://x (", "[a](https://x("]
)
def test_takes_its_time_even_from_hostile_text(unit: str) -> None:
    text = unit * (32_768 // len(unit))
    begun = time.process_time()
    to_html(text)
    assert time.process_time() - begun < 2

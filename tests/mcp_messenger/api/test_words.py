"""The catalogues are whole and compiled, and every messenger says how an account of it is added."""

import ast
import gettext
import inspect
from string import Formatter

import pytest

from mcp_messenger.api.pages.approval import REASONS
from mcp_messenger.policy import decide
from providers import REGISTRY, SETUPS, provider_class
from providers.capabilities import Capability
from providers.setup import setup_of
from providers.words import LANGUAGES
from tests.catalogue import catalogue, compiled, read, texts


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_text_of_the_pages_is_translated_and_compiled(language: str) -> None:
    known = read(catalogue(language))
    assert list(known) == texts()
    assert [text for text, said in known.items() if not said] == []
    assert compiled(language) == known
    for text, said in known.items():
        assert _places(text) == _places(said), text


def _places(text: str) -> list[str]:
    """Return the places of a text that are filled in."""
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def test_russian_nouns_follow_their_numbers() -> None:
    with catalogue("ru").with_suffix(".mo").open("rb") as file:
        form = gettext.GNUTranslations(file).plural  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - typeshed lacks it
    assert [form(number) for number in (1, 2, 5, 11, 14, 21, 104)] == [0, 1, 2, 2, 2, 0, 1]


def test_the_owner_is_told_in_their_own_language_why_they_are_asked() -> None:
    """The words of a rule are for the agent."""
    made = [node for node in ast.walk(ast.parse(inspect.getsource(decide))) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Decision"]
    rules = {str(ast.literal_eval(call.args[1])) for call in made if len(call.args) > 1 and ast.unparse(call.args[0]) != "'deny'"}
    assert "taint" in rules
    assert rules == REASONS.keys()


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_messenger_asks_for_every_setting_that_it_needs(name: str) -> None:
    cls, setup = provider_class(name), setup_of(name)
    assert set(SETUPS) == set(REGISTRY)
    assert setup.title == cls.title
    assert setup.has_code == (Capability.QR_LOGIN in cls.capabilities)
    assert bool(setup.pair) == (Capability.PAIRING_CODE in cls.capabilities)
    fields = cls.settings_type.model_fields
    asked = {one.field: one for one in setup.asks}
    assert {field for field, info in fields.items() if info.is_required()} == {one.field for one in setup.asks if one.required}
    assert asked.keys() <= fields.keys()
    assert {one.field for one in setup.asks if one.secret} == asked.keys() & cls.settings_type.secret_fields()
    assert cls.settings_type.admin_fields & asked.keys() <= {one.field for one in setup.asks if one.advanced}

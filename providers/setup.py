"""How a person adds an account of each messenger: the steps on its side, the settings to enter, the taps on the phone.

No messenger's SDK is needed for it. The texts are English as they are shown; the pages translate them.
"""

from dataclasses import dataclass
from importlib import import_module

from providers import SETUPS


@dataclass(frozen=True)
class Ask:
    """A setting that a person enters. `where` says where it is found.

    `generated`: any word will do, so one is made where none is given. `advanced`: few need it.
    """

    field: str
    label: str
    where: str
    secret: bool = False
    required: bool = True
    generated: bool = False
    advanced: bool = False


@dataclass(frozen=True)
class Setup:
    """`title` is the messenger's name as people write it, and `needs` names in a few words what a person needs for it.

    `steps` come before the settings in `asks`; `scan` and `pair` are the taps on the phone that has the account, for the QR code and for the
    pairing code, empty where a token logs in; `then` is what comes after the login. `webhook`: the platform brings messages to an address
    that a person gives it.
    """

    title: str
    needs: str
    steps: tuple[str, ...] = ()
    asks: tuple[Ask, ...] = ()
    scan: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()
    then: str = ""
    webhook: bool = False

    @property
    def has_code(self) -> bool:
        """Return whether a code on the screen logs in, not a token."""
        return bool(self.scan)

    def texts(self) -> tuple[str, ...]:
        """Return everything in it that people read, but for the title."""
        of_asks = [text for ask in self.asks for text in (ask.label, ask.where)]
        return tuple(text for text in (self.needs, *self.steps, *of_asks, *self.scan, *self.pair, self.then) if text)


def setup_of(provider: str) -> Setup:
    """Return how an account of a messenger is added. Raises KeyError for one that is unknown."""
    module, _, name = SETUPS[provider].partition(":")
    found = getattr(import_module(module), name)
    assert isinstance(found, Setup)
    return found

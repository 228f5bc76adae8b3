"""What a platform brought and nobody here needs: counted, and logged with the reason, so that nothing disappears without a trace."""

import logging

from providers.kit.bounded import BoundedMap
from providers.text import clean_line

logger = logging.getLogger(__name__)

_KINDS_KNOWN = 200


class LeftOut:
    """Counts the events of one account of which nothing is made, by their kind."""

    def __init__(self, title: str) -> None:
        """`title` is the platform's name."""
        self._title = title
        self._counts: BoundedMap[str, int] = BoundedMap(_KINDS_KNOWN)

    def note(self, kind: str, reason: str) -> None:
        """Count one event, and log the first of its kind and then ever more rarely. Neither holds content."""
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count.bit_count() == 1:
            logger.info("Left out of what %s brings: %s, %s (%d so far).", self._title, clean_line(kind[:64]), reason, count)

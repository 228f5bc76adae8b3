"""The newest log lines of each instance, for get_logs: what the supervisor and the provider said of it in this process."""

import logging
from collections import deque

from mcp_messenger.observability.logs import Formatter

LINES = 1000
INSTANCES = 2000


class Logbook(logging.Handler):
    """Keeps records that carry an `instance_id`, formatted and redacted like the log itself."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(Formatter(json=False))
        self._lines: dict[str, deque[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        instance_id = getattr(record, "instance_id", None)
        if not isinstance(instance_id, str):
            return
        if instance_id not in self._lines and len(self._lines) >= INSTANCES:
            self._lines.pop(next(iter(self._lines)))
        self._lines.setdefault(instance_id, deque(maxlen=LINES)).append(self.format(record))

    def tail(self, instance_id: str, count: int) -> list[str]:
        """Oldest first."""
        return list(self._lines.get(instance_id, ()))[-count:]

"""Logs: to stderr only (on stdio, stdout is the wire), one line a record, without secrets."""

import logging
import re
import sys
from datetime import UTC, datetime
from json import dumps

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

# In `name=value`, `"name": "value"` and `Some-Name: value`, but not in "the token: it was refused".
_NAME = r"(?:token|secret|password|passwd|api[_-]?key|secret_key|signature|proof)"

# Each tells a secret by its form; what is kept of the match shows what was there.
_SECRETS = (
    (re.compile(r"(?<!\d)\d{6,}:[A-Za-z0-9_-]{30,}"), "***"),  # Telegram
    (re.compile(r"\b(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}"), "***"),  # Slack
    (re.compile(r"\b[A-Za-z0-9_-]{23,28}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}"), "***"),  # Discord
    (re.compile(r"\bEAA[A-Za-z0-9]{20,}"), "***"),  # Meta
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), "***"),  # JSON web tokens
    (re.compile(r"\bmm_[A-Za-z0-9_-]{20,}"), "***"),  # ours
    (re.compile(r"\b([Bb]earer|Basic) [A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"(://[^/\s:@'\"]*):[^/\s@'\"]+@"), r"\1:***@"),
    (re.compile(rf"({_NAME}=|{_NAME}['\"]\s*:\s*|-{_NAME}: )['\"]?[^\s'\"&,;)}}\]]{{4,}}['\"]?", re.IGNORECASE), r"\1***"),
)

# Controls are escaped by JSON; these it lets through, though they can break or reorder a line on a screen.
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]")

_PLAIN = re.compile(r"[\w.:/@+-]+", re.ASCII)

# They log URLs that hold tokens, a line for each request, or what a caller got wrong in the caller's own words.
_QUIET = ("httpx", "httpcore", "httpx2", "httpcore2", "uvicorn.access", "uvicorn.error")
_QUIET_SDK = ("mcp.server.lowlevel.server", "mcp.server.mcpserver.server", "mcp.server.streamable_http_manager")

# At debug level it logs whole updates, message texts with them.
_NO_DEBUG = ("telegram",)

_STANDARD = {*logging.LogRecord("", 0, "", 0, "", (), None).__dict__, "message", "asctime", "taskName", "color_message"}


def configure(level: str, *, json: bool) -> None:
    """Send all logs of the process to stderr, as `key=value` or (`json`) as JSON objects, one a line.

    Before anything else configures logging: MCPServer() does if nobody has, and uvicorn does unless it gets `log_config=None`.
    Raises ValueError for an unknown level.
    """
    if level.upper() not in LEVELS:
        raise ValueError(f"{level!r} is no level of logs. Set MCP_MESSENGER_LOG_LEVEL to {', '.join(LEVELS)}.")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(json=json))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in (*_QUIET, *_QUIET_SDK):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _NO_DEBUG:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))


def redacted(text: str) -> str:
    """The text with everything that looks like a secret as `***`."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class Formatter(logging.Formatter):
    """A record with its `extra` fields as one line: new lines and controls are escaped, secrets left out, in tracebacks too."""

    def __init__(self, *, json: bool) -> None:
        super().__init__()
        self._json = json

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(_message(record)),
        }
        fields |= {key: redacted(str(value)) for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            fields["exception"] = redacted(self.formatException(record.exc_info))
        if record.stack_info:
            fields["stack"] = redacted(record.stack_info)
        if self._json:
            return _escaped(dumps(fields, ensure_ascii=False))
        return " ".join(f"{key}={value if _PLAIN.fullmatch(value) else _escaped(dumps(value, ensure_ascii=False))}" for key, value in fields.items())


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # The logging package would print the arguments as they are.
        return f"{record.msg} {record.args!r}"


def _escaped(text: str) -> str:
    return _UNSEEN.sub(lambda match: dumps(match[0])[1:-1], text)

"""The log of a server, on stderr: as text, or as JSON, one object a line.

Every line has ``time`` (UTC), ``level``, ``logger`` and ``message``; a record with `fields` has these besides, and one
that is logged while a call runs, in its own task, has the ``request_id`` of the call. Knows nothing about what is
logged.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import NamedTuple

from mmrec_serving.telemetry.calls import current_call


class LogConfig(NamedTuple):
    """How a process logs.

    Attributes:
        format: ``text`` or ``json``.
        level: Least level of the server's own lines, as in `logging`; other lines are warnings and errors.
    """

    format: str
    level: int


def start_log(config: LogConfig) -> None:
    """Log to stderr from now on."""
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if config.format == "json" else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("mmrec_serving").setLevel(config.level)


class JsonLines(logging.Formatter):
    """Formats a record as a line of JSON, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        request_id = current_call().request_id
        if request_id:
            line.setdefault("request_id", request_id)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)

"""Structured logs on stderr: one JSON object a line, each with the request it belongs to. No prompt, pixel or path of
a client's is ever logged."""

import json
import logging
import sys
import time
from types import TracebackType

from assay.rpc.call import request_id


class JsonLines(logging.Formatter):
    """`log.info("…", extra={"facts": {…}})` becomes one object with time, level, program, request_id and the facts.

    The facts may name another program and request, those on whose behalf a line is written; `ID:NAME` is a generation
    of the request ID.
    """

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "program": self._program,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        line.update(getattr(record, "facts", {}))
        line["request_id"], _, line["generation"] = str(line["request_id"]).partition(":")
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in line.items() if value != ""}, ensure_ascii=False)


def log_to_stderr(program: str, level: str = "info") -> None:
    """Sends every log record of this process to stderr, warnings and what ends the process or a thread too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(program))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, Exception):
        logging.getLogger(__name__).critical("the program ends by an error", exc_info=(kind, error, trace))
    else:
        sys.__excepthook__(kind, error, trace)

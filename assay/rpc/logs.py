"""Structured logs on stderr: one JSON object a line, each with the request it belongs to. No prompt, pixel or path of
a client's is ever logged."""

import json
import logging
import sys
import time

from assay.rpc.call import request_id


class JsonLines(logging.Formatter):
    """`log.info("…", extra={"facts": {…}})` becomes one object with time, level, program, request_id and the facts."""

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
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        line.update(getattr(record, "facts", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(program: str, level: str = "info") -> None:
    """Sends every log record of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(program))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)

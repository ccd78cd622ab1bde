"""ScriptedHub: the few paths of a Hugging Face hub that a download goes through, over directories on disk."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


class ScriptedHub:
    """Serves `repositories` (name to directory) at `url`; every other repository is 404."""

    def __init__(self, repositories: dict[str, Path]) -> None:
        self.repositories = repositories
        self.asked: list[str] = []
        self.fetched: list[str] = []
        """Files whose bytes were sent."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                hub.asked.append(f"{self.command} {self.path}")

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path).strip("/")
                for name, directory in hub.repositories.items():
                    if path.startswith(f"api/models/{name}/tree/"):
                        return self._json(_tree(directory))
                    if path == f"api/models/{name}" or path.startswith(f"api/models/{name}/revision/"):
                        return self._json(_info(name, directory))
                    if path.startswith(f"{name}/resolve/"):
                        return self._file(directory / path.removeprefix(f"{name}/resolve/").partition("/")[2])
                return self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})

            def _json(self, value: object) -> None:
                self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

            def _file(self, path: Path) -> None:
                if not path.is_file():
                    return self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
                if self.command == "GET":
                    hub.fetched.append(path.name)
                return self._answer(200, path.read_bytes(), {"ETag": f'"{_etag(path)}"'})

            def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "X-Repo-Commit": COMMIT, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

        return Handler


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def _info(name: str, directory: Path) -> dict[str, object]:
    siblings = [
        {"rfilename": str(path.relative_to(directory)), "size": path.stat().st_size, "blobId": _etag(path)}
        for path in _files(directory)
    ]
    return {"id": name, "modelId": name, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}


def _tree(directory: Path) -> list[dict[str, object]]:
    return [
        {"type": "file", "path": str(path.relative_to(directory)), "size": path.stat().st_size, "oid": _etag(path)}
        for path in _files(directory)
    ]

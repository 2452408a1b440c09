"""A hub on this machine: as much of the Hugging Face hub's HTTP as downloads need, serving folders that tests make."""

import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.parse import unquote, urlsplit


class Request(NamedTuple):
    """One request as it came in."""

    method: str
    path: str
    """Without the query."""
    token: str | None
    first_byte: int = 0
    """Of a file: where it is to begin."""


@dataclass
class _Repository:
    token: str | None
    """The one token that may read its files; `None` where everyone may."""
    licence: str | None = None
    is_large: bool = False
    """Its files are known by their SHA-256, as the hub knows large ones."""
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Commit → file name → content."""
    branches: dict[str, str] = field(default_factory=dict)
    """Branch → commit."""

    def commit_of(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.branches.get(revision)


class FakeHub:
    """Context manager: answers at `url` while it is entered, and keeps every request in `requests`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.tokens: set[str] = set()
        """Tokens of existing accounts; any other is refused, as the real hub does even for public repositories."""
        self.pause_at: int | None = None
        """Byte of each longer file before which nothing more is sent until `go_on` is set."""
        self.break_at: int | None = None
        """Byte of the next longer file at which its connection breaks, once."""
        self.ignores_range = False
        """Files are always sent from their beginning."""
        self.paused = threading.Event()
        self.go_on = threading.Event()
        self._repositories: dict[str, _Repository] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "FakeHub":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add_repository(
        self,
        repo_id: str,
        folder: Path,
        *,
        gated: bool = False,
        token: str | None = None,
        revision: str = "main",
        licence: str | None = None,
        large: bool = False,
    ) -> str:
        """Commit what is in `folder` now to a branch, and return the commit.

        `gated`: files need `token`, whose account has been given access; with no `token`, nobody has.
        """
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        repository = self._repositories.setdefault(repo_id, _Repository(None))
        repository.licence = licence
        repository.is_large = large
        if gated:
            repository.token = token or "nobody's"
        if token is not None:
            self.tokens.add(token)
        digest = hashlib.sha1(f"{repo_id} {revision}".encode())
        for name, content in files.items():
            digest.update(name.encode() + content)
        repository.commits[digest.hexdigest()] = files
        repository.branches[revision] = digest.hexdigest()
        return digest.hexdigest()

    @staticmethod
    def digest_of(content: bytes) -> str:
        """What a file of a large repository is known by."""
        return hashlib.sha256(content).hexdigest()

    def answer(self, request: Request) -> "_Answer":
        if request.token is not None and request.token not in self.tokens:
            return _error(401, message="Invalid credentials in Authorization header")
        for repo_id, repository in self._repositories.items():
            info, files = f"/api/models/{repo_id}", f"/{repo_id}/resolve/"
            if request.path == info:
                return _info(repo_id, repository, "main")
            if request.path.startswith(info + "/revision/"):
                return _info(repo_id, repository, request.path.removeprefix(info + "/revision/"))
            if request.path.startswith(info + "/tree/"):
                return _tree(repository, request.path.removeprefix(info + "/tree/"))
            if request.path.startswith(files):
                revision, _, name = request.path.removeprefix(files).partition("/")
                return _file(repository, revision, name, request.token)
        return _error(404 if request.token else 401, "RepoNotFound", "Repository not found")


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""


def _error(status: int, code: str | None = None, message: str = "") -> _Answer:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return _Answer(status, headers, json.dumps({"error": message}).encode())


def _json(content: object) -> _Answer:
    return _Answer(200, {"Content-Type": "application/json"}, json.dumps(content).encode())


def _info(repo_id: str, repository: _Repository, revision: str) -> _Answer:
    commit = repository.commit_of(revision)
    if commit is None:
        return _error(404, "RevisionNotFound", "Invalid rev id")
    siblings = [
        {"rfilename": name, "size": len(content), "blobId": _blob_id(content), **_lfs(repository, content)}
        for name, content in repository.commits[commit].items()
    ]
    content = {"id": repo_id, "modelId": repo_id, "sha": commit, "siblings": siblings, "tags": [], "downloads": 0}
    card = {"cardData": {"license": repository.licence}} if repository.licence is not None else {}
    return _json({**content, **card, "gated": "manual" if repository.token is not None else False})


def _tree(repository: _Repository, revision: str) -> _Answer:
    commit = repository.commit_of(revision)
    if commit is None:
        return _error(404, "RevisionNotFound", "Invalid rev id")
    return _json(
        [
            {"type": "file", "path": name, "size": len(content), "oid": _blob_id(content), **_lfs(repository, content)}
            for name, content in repository.commits[commit].items()
        ]
    )


def _file(repository: _Repository, revision: str, name: str, token: str | None) -> _Answer:
    if repository.token is not None and token is None:
        return _error(401, "GatedRepo", "Access to the model is restricted: log in")
    if repository.token is not None and token != repository.token:
        return _error(403, "GatedRepo", "Access to the model is restricted and the account is not on the list")
    commit = repository.commit_of(revision)
    if commit is None:
        return _error(404, "RevisionNotFound", "Invalid rev id")
    content = repository.commits[commit].get(name)
    if content is None:
        return _error(404, "EntryNotFound", "Entry not found")
    digest = FakeHub.digest_of(content) if repository.is_large else _blob_id(content)
    headers = {"ETag": f'"{digest}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
    return _Answer(200, headers, content)


def _lfs(repository: _Repository, content: bytes) -> dict[str, object]:
    if not repository.is_large:
        return {}
    digest = FakeHub.digest_of(content)
    return {"lfs": {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 100}}


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def _handler_for(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        # One request per connection: a kept one would hold its thread past the end of the test.
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self._respond()

        def do_HEAD(self) -> None:
            self._respond()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _respond(self) -> None:
            authorization = self.headers.get("Authorization")
            token = authorization.removeprefix("Bearer ") if authorization else None
            wanted = self.headers.get("Range")
            first = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted is not None else 0
            request = Request(self.command, unquote(urlsplit(self.path).path), token, first)
            hub.requests.append(request)
            answer = hub.answer(request)
            status, body = answer.status, answer.body
            if hub.ignores_range:
                first, wanted = 0, None
            if status == 200 and wanted is not None:
                status, body = 206, body[first:]
            self.send_response(status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{len(answer.body) - 1}/{len(answer.body)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self._send_body(body, first)

        def _send_body(self, body: bytes, first: int) -> None:
            if hub.break_at is not None and hub.break_at < len(body):
                body, hub.break_at = body[: hub.break_at], None
            pause = hub.pause_at - first if hub.pause_at is not None else len(body)
            with contextlib.suppress(ConnectionError):  # who was to have the rest may have left
                if not 0 < pause < len(body):
                    self.wfile.write(body)
                    return
                self.wfile.write(body[:pause])
                self.wfile.flush()
                hub.paused.set()
                hub.go_on.wait()
                self.wfile.write(body[pause:])

    return Handler

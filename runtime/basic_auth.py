"""HTTP basic authentication, both sides, and the middleware that denies by default."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from springtide.runtime.asgi import App, Receive, Scope, Send, respond
from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_whole
from springtide.runtime.wrong_credentials import WrongCredentials

PREFIX = "basic-auth"


def file_names(prefix: str) -> tuple[str, str]:
    """Of the files with a user and with the password."""
    return f"{prefix}-user", f"{prefix}-password"


USER_FILE, PASSWORD_FILE = file_names(PREFIX)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password; the password never shows in a repr or a log."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def from_folder(cls, folder: Path, *, prefix: str = PREFIX) -> Credentials:
        """Read the two files OpenFaaS keeps its credentials in (surrounding white space is dropped).

        ``prefix`` is what the names of other credentials' files begin with.
        """
        user_file, password_file = file_names(prefix)
        try:
            user = read_whole(folder / user_file).decode().strip()
            password = read_whole(folder / password_file).decode().strip()
        except OSError as error:
            raise BadInput(
                f"{error.filename}: {error.strerror}; the folder must hold {user_file} and {password_file}"
            ) from error
        except UnicodeDecodeError:  # Its own text, and what it holds, is a part of the password.
            raise BadInput(f"{folder}: {user_file} and {password_file} must be text (UTF-8)") from None
        if not user or not password:
            raise BadInput(f"{folder}: {user_file} and {password_file} must not be empty")
        return cls(user, password)

    @classmethod
    def of_setting(cls, folder: str) -> Credentials | None:
        """As ``from_folder``; none where the setting is empty."""
        return cls.from_folder(Path(folder)) if folder else None

    @property
    def header(self) -> str:
        """The value of an ``Authorization`` header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def accepts(self, header: bytes) -> bool:
        """Whether an ``Authorization`` header value carries these credentials; compared in constant time."""
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            given = base64.b64decode(token.strip(), validate=True)
        except binascii.Error:
            return False
        return hmac.compare_digest(given, f"{self.user}:{self.password}".encode())


class RequireBasicAuth:
    """Lets nothing through without credentials, but for the exact paths and path prefixes listed as open."""

    def __init__(
        self,
        app: App,
        *,
        credentials: Credentials | None,
        open_paths: Iterable[str] = (),
        guarded: Iterable[str] | None = None,
        wrong: WrongCredentials | None = None,
    ) -> None:
        """``credentials`` None switches authentication off; an open path ending in ``/`` opens all below it.

        ``guarded`` folders, each with all below it, are what needs credentials: everything, unless said otherwise.
        ``wrong`` is told of requests with others than these, and holds back their answer.
        """
        self._app = app
        self._credentials = credentials
        self._wrong = wrong
        self._guarded = None if guarded is None else tuple(guarded)
        open_paths = tuple(open_paths)
        self._exact = frozenset(path for path in open_paths if not path.endswith("/") or path == "/")
        self._prefixes = tuple(path for path in open_paths if path.endswith("/") and path != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._credentials is None or self._allowed(scope):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if self._wrong is not None and any(name == b"authorization" for name, _ in scope["headers"]):
            await self._wrong.seen(scope)
        challenge = (b"www-authenticate", b'Basic realm="Restricted"')
        await respond(send, 401, b"invalid credentials", more_headers=(challenge,))

    def _allowed(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in self._exact or path.startswith(self._prefixes):
            return True
        if self._guarded is not None and not any(_is_below(path, folder) for folder in self._guarded):
            return True
        assert self._credentials is not None
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and self._credentials.accepts(given[0])


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")

"""WSGI, for handlers that use Flask: their calls run inside a real Flask request, as in OpenFaaS's templates.

Flask is the function's own. It is used only where the handler has it and asks for it; nothing here needs it.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from .handler_answer import Answer, Parts, UnsendableError, checked, piece
from .handler_conventions import Convention
from .handler_event import Event, Request

MAX_WHOLE_BYTES = 4 << 20
"""A body whose length is told and not above this is sent whole."""
_IMPORTS_FLASK = re.compile(r"^\s*(?:from|import)\s+flask\b", re.MULTILINE)


def wants_flask(folder: Path) -> bool:
    """Whether the handler has imported Flask, or will in a call, and has it."""
    if "flask" in sys.modules:
        return True
    try:
        source = (folder / "handler.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False  # A package, say; it would have imported it.
    return _IMPORTS_FLASK.search(source) is not None and importlib.util.find_spec("flask") is not None


class FlaskCalls:
    """Calls a handler inside a Flask application of its own, where ``request``, ``abort`` and the like work."""

    def __init__(self, convention: Convention, call: Callable[..., Any]) -> None:
        """``call`` is ``handle`` that waits for its result."""
        self._flask: Any = importlib.import_module("flask")
        self._convention, self._call = convention, call
        # As in the templates, files are looked for above the handler's folder. /static is a path like others.
        self._app = self._flask.Flask("function", root_path=os.getcwd(), static_folder=None)  # noqa: PTH109 - Flask takes text
        self._app.config["PROPAGATE_EXCEPTIONS"] = True
        # In place of its routes: every path and verb is the handler's.
        self._app.dispatch_request = self._view

    def answer(self, request: Request) -> Answer:
        """Raises what the handler raises, but for Flask's own HTTP errors; and UnsendableError."""
        return served(self._app, environ(request) | {"springtide.request": request}, self._convention)

    def _view(self, *_: Any) -> Any:
        arguments = self._convention.arguments(self._flask.request.environ["springtide.request"])
        if isinstance(arguments[0], Event):
            arguments[0].headers, arguments[0].query = self._flask.request.headers, self._flask.request.args
        parts = self._convention.parts(self._call(*arguments))
        if callable(parts.body):
            given = (parts.status, parts.headers)
            return (parts.body, *(value for value in given if value is not None)) if any(given) else parts.body
        answer = checked(parts, self._convention.content)
        headers = [(name.decode(), value.decode("latin-1")) for name, value in answer.headers]
        return self._flask.Response(answer.pieces or answer.body, answer.status, headers)


def answer_of(result: Any, request: Request, convention: Convention) -> Answer:
    """What a handler's result means, a WSGI response included. Raises UnsendableError, and what its objects raise."""
    parts = convention.parts(result)
    if not callable(parts.body):
        return checked(parts, convention.content)
    if not hasattr(parts.body, "status_code"):
        raise UnsendableError(f"handle returned a {type(parts.body).__name__}, of which no answer can be made")
    answer = served(parts.body, environ(request), convention)
    if parts.status is None and parts.headers is None:
        return answer
    more = checked(Parts(None, parts.status or answer.status, parts.headers), convention.content)
    return replace(answer, status=more.status, headers=[*answer.headers, *more.headers[: len(parts.headers or ())]])


def served(app: Callable[..., Any], variables: dict[str, Any], convention: Convention) -> Answer:
    """What a WSGI application answers. Raises what it raises, and UnsendableError."""
    begun: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Callable[[bytes], None]:
        begun[:] = [status, headers]
        return _no_write

    pieces = _Pieces(app(variables, start_response))
    if not begun:
        pieces.begin()  # It may do so when it is asked for its first piece.
    status, headers = begun or (None, None)
    length = next((value for name, value in headers or () if name.lower() == "content-length"), "")
    if not length.isdigit() or int(length) > MAX_WHOLE_BYTES:
        return checked(Parts(pieces, status, headers), convention.content)
    try:
        return checked(Parts(b"".join(map(piece, pieces)), status, headers), convention.content)
    finally:
        pieces.close()


class _Pieces(Iterator[Any]):
    """A WSGI application's iterable, which is closed however it ends."""

    def __init__(self, found: Iterable[Any]) -> None:
        self._found, self._iterator = found, iter(found)
        self._first: list[Any] = []

    def begin(self) -> None:
        """Get the first piece."""
        self._first = [item for item, _ in zip(self._iterator, range(1))]

    def __next__(self) -> Any:
        return self._first.pop() if self._first else next(self._iterator)

    def close(self) -> None:
        if hasattr(self._found, "close"):
            self._found.close()


def environ(request: Request) -> dict[str, Any]:
    """The call as WSGI's variables (PEP 3333)."""
    variables: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "QUERY_STRING": request.query.decode("latin-1"),
        "SERVER_NAME": "0.0.0.0",
        "SERVER_PORT": "5000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        key, text = name.decode("latin-1").upper().replace("-", "_"), value.decode("latin-1")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH", "TRANSFER_ENCODING"):
            key = f"HTTP_{key}"
        variables[key] = f"{variables[key]},{text}" if key in variables else text
    variables.pop("TRANSFER_ENCODING", None)
    variables["CONTENT_LENGTH"] = str(len(request.body))
    return variables


def _no_write(_: bytes) -> None:
    raise UnsendableError("the WSGI response uses write(); return an iterable")

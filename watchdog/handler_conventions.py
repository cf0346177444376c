"""How a Python handler is called and what its result means, for each of the templates it may have been written for.

==========================  ==========================  =====================================================
template (``lang``)         ``handle``                  result
==========================  ==========================  =====================================================
python3-http…               ``(event, context)``        a dict with statusCode, body, headers, or as below
python3-flask…              ``(body)``                  what a Flask view may return
python3, python3-debian…    ``(text)``, a process each  what it prints, and what it returns
none                        by the number of arguments  as python3-http with two; with one as python3-flask, but
                                                        text is text/plain and anything that JSON has is JSON
==========================  ==========================  =====================================================
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Protocol

from .handler_answer import FLASK, PLAIN, Content, Parts, UnsendableError
from .handler_event import Context, Request
from .log import log
from .values import parse_switch

ANSWER_KEYS = frozenset(("statusCode", "body", "headers"))
RAW_BODY = "RAW_BODY"


class NotTextError(Exception):
    """The body is no text, and the handler takes text."""


class Convention(Protocol):
    """One template's way."""

    content: Content

    def arguments(self, request: Request) -> tuple[Any, ...]:
        """What ``handle`` is called with. Raises NotTextError."""

    def parts(self, result: Any) -> Parts:
        """What a result means. Raises UnsendableError."""


class EventConvention:
    """python3-http: an event and a context."""

    content = FLASK

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname

    def arguments(self, request: Request) -> tuple[Any, ...]:
        return request.event(), Context(self._hostname)

    def parts(self, result: Any) -> Parts:
        if not isinstance(result, Mapping) or not ANSWER_KEYS & result.keys():
            return view_parts(result)
        body = result.get("body")
        return Parts(body if _has_own_form(body) else str(body), result.get("statusCode"), result.get("headers"))


class ViewConvention:
    """python3-flask: the body, and a result as of a Flask view."""

    content = FLASK

    def __init__(self, *, raw_body: bool) -> None:
        self._raw_body = raw_body

    def arguments(self, request: Request) -> tuple[Any, ...]:
        return (body_argument(request.body, raw=self._raw_body),)

    def parts(self, result: Any) -> Parts:
        parts = view_parts(result)
        if parts.body is None:
            raise UnsendableError("handle returned None; return the answer, or an empty text for none")
        if isinstance(parts.body, tuple) or not _has_own_form(parts.body):
            raise UnsendableError(
                f"handle returned a {type(parts.body).__name__}, of which no answer can be made; return text, bytes, "
                "a dict, a list, or a tuple of a body, a status and headers"
            )
        return parts


class PlainConvention:
    """No template: the body to a handler of one argument."""

    content = PLAIN

    def __init__(self, *, raw_body: bool) -> None:
        self._raw_body = raw_body

    def arguments(self, request: Request) -> tuple[Any, ...]:
        return (body_argument(request.body, raw=self._raw_body),)

    def parts(self, result: Any) -> Parts:
        return EventConvention("").parts(result)


def convention_of(lang: str, handle: Callable[..., Any], env: Mapping[str, str], hostname: str) -> Convention:
    """By the template's name; by the number of arguments where there is none, or where the handler is not for it."""
    words = lang.strip().lower().split("-")
    raw_body = _raw_body(env)
    if "http" in words and _takes(handle, 2):
        return EventConvention(hostname)
    if "flask" in words and _takes(handle, 1):
        return ViewConvention(raw_body=raw_body)
    if {"http", "flask"} & set(words):
        log(f"handle does not take the arguments of the template {lang[:60]}; it is called by the number of its own")
    if _wants_one(handle):
        return PlainConvention(raw_body=raw_body)
    return EventConvention(hostname)


def view_parts(result: Any) -> Parts:
    """``body``, ``(body, status)``, ``(body, headers)`` or ``(body, status, headers)``, or an HTTP client's response.

    Raises UnsendableError.
    """
    if not isinstance(result, tuple):
        return _of_response(result) if hasattr(result, "status_code") and hasattr(result, "headers") else Parts(result)
    if len(result) == 3:
        return Parts(*result)
    if len(result) == 2 and (isinstance(result[1], (list, tuple)) or hasattr(result[1], "items")):
        return Parts(result[0], headers=result[1])
    if len(result) == 2:
        return Parts(*result)
    raise UnsendableError(
        f"handle returned a tuple of {len(result)}; return (body, status), (body, headers) or (body, status, headers)"
    )


def _of_response(response: Any) -> Parts:
    """Of what ``requests`` or ``httpx`` got from elsewhere, unpacked already; other responses send themselves."""
    content = getattr(response, "content", getattr(response, "body", None))
    if not isinstance(content, bytes) or hasattr(response, "get_wsgi_response"):
        return Parts(response)
    headers = [item for item in response.headers.items() if str(item[0]).lower() != "content-encoding"]
    return Parts(content, response.status_code, headers)


def body_argument(body: bytes, *, raw: bool) -> Any:
    """Text, unless bytes are wanted. What is no text must not be changed silently: raises NotTextError."""
    try:
        return body if raw else body.decode()
    except UnicodeDecodeError as error:
        raise NotTextError(
            f"the body is no text in UTF-8 (byte {error.start} of {len(body)}); set the variable {RAW_BODY} to true, "
            "and handle gets bytes"
        ) from None


def _raw_body(env: Mapping[str, str]) -> bool:
    try:
        return parse_switch(env.get(RAW_BODY) or "false")
    except ValueError:
        return False


def _has_own_form(body: Any) -> bool:
    """Whether it is sent as it is, as JSON, piece by piece, or (a WSGI response) by itself; else its text is sent."""
    return (
        callable(body)
        or body is None
        or isinstance(body, (str, bytes, bytearray, memoryview, Mapping, list, tuple, Iterator, AsyncIterator))
    )


def _takes(handle: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(handle).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # Of some callables nobody knows.
        return True
    return True


def _wants_one(handle: Callable[..., Any]) -> bool:
    if not _takes(handle, 2):
        return _takes(handle, 1)
    return _takes(handle, 1) and len(inspect.signature(handle).parameters) == 1

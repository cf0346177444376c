"""The root of the error tree, and the one table from error to HTTP status.

    SpringtideError
    ├── BadInput            400  the caller's data is wrong; says which key, which value and the remedy
    │   └── BodyTooLarge    413
    ├── Unauthenticated     401
    ├── NotFound            404
    ├── AlreadyExists       409
    ├── Conflict            412  a compare-and-set lost: somebody else wrote first
    ├── Unprocessable       422  which lines of a log are wanted cannot be understood
    ├── TooMany             429
    ├── Unsupported         501
    └── Unavailable         503  the other side is down or answers nonsense; try again
        └── BodyTimeout     408  a request's body did not arrive in time

Adapters translate their library's exceptions into these (``raise … from error``); nothing above an adapter
catches a library's own errors.
"""

from __future__ import annotations


class SpringtideError(Exception):
    """Any failure that we understand. The text is for people and names the remedy where there is one."""


class BadInput(SpringtideError):
    pass


class BodyTooLarge(BadInput):
    pass


class Unauthenticated(SpringtideError):
    pass


class NotFound(SpringtideError):
    pass


class AlreadyExists(SpringtideError):
    pass


class Conflict(SpringtideError):
    pass


class Unprocessable(SpringtideError):
    pass


class TooMany(SpringtideError):
    pass


class Unsupported(SpringtideError):
    pass


class Unavailable(SpringtideError):
    pass


class BodyTimeout(Unavailable):
    pass


HTTP_STATUS: dict[type[SpringtideError], int] = {
    BadInput: 400,
    Unauthenticated: 401,
    NotFound: 404,
    BodyTimeout: 408,
    AlreadyExists: 409,
    Conflict: 412,
    BodyTooLarge: 413,
    Unprocessable: 422,
    TooMany: 429,
    Unsupported: 501,
    Unavailable: 503,
}


def reason_of(error: BaseException) -> str:
    """What it says, or its kind where it says nothing, as time-outs do. An exception is never false, so ``error or
    …`` chooses the empty text."""
    return str(error) or type(error).__name__


def kind_and_reason_of(error: BaseException) -> str:
    """Its kind, and what it says where it says anything: a time-out's ``ReadTimeout: `` looks cut off."""
    return ": ".join(filter(None, (type(error).__name__, str(error))))


def status_of(error: SpringtideError) -> int:
    """HTTP status for an error; 500 for one the table does not name."""
    for kind in type(error).__mro__:
        if kind in HTTP_STATUS:
            return HTTP_STATUS[kind]
    return 500


def error_for_status(status: int) -> type[SpringtideError]:
    """The error a REST client raises for a status that is not a success."""
    for kind, known in HTTP_STATUS.items():
        if known == status:
            return kind
    return Unavailable

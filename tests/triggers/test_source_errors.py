"""What people are told where a connection is not made, and whether it is tried again."""

from __future__ import annotations

import socket
import ssl

import pytest

from springtide.runtime.errors import BadInput, SpringtideError, Unavailable
from springtide.triggers.source_errors import as_ours


def wrapped(error: Exception) -> Exception:
    """As libraries do it."""
    try:
        try:
            raise error
        except OSError:
            raise RuntimeError("Error 1 connecting to h:1.")  # noqa: B904 - so they do
    except RuntimeError as outer:
        return outer


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


def plain() -> ssl.SSLError:
    error = ssl.SSLError(1, "wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (untrusted(), BadInput, "h: its certificate is not trusted (self-signed certificate); see ca_path and url"),
        (plain(), BadInput, "h: it does not speak TLS there; see url"),
        (socket.gaierror(-2, "Name or service not known"), Unavailable, "h: no host of that name is found"),
        (ConnectionRefusedError(111, "refused"), Unavailable, "h: nothing listens there (connection refused)"),
    ],
)
def test_the_cause_is_found_behind_what_a_library_says(
    error: Exception, kind: type[SpringtideError], told: str
) -> None:
    for one in (error, wrapped(error)):
        ours = as_ours("h", one)
        assert (type(ours), str(ours)) == (kind, told)


def test_what_is_not_known_is_told_as_it_is_and_may_pass() -> None:
    assert str(as_ours("h", TimeoutError())).startswith("h: no answer in time; if that lasts, see whether it wants TLS")
    assert str(as_ours("h", ValueError("odd"))) == "h: ValueError: odd"
    assert isinstance(as_ours("h", ValueError("odd")), Unavailable)

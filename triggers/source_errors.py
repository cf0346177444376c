"""What is wrong where a connection is not made, or lost, in words: of every system that is spoken to over TCP.

An error that the settings make is a BadInput, which ends a connector at its start; what may pass is an Unavailable.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping

from springtide.runtime.errors import BadInput, SpringtideError, Unavailable, kind_and_reason_of

_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
_MAYBE_TLS = "if that lasts, see whether it wants TLS, or has none"
_PASSING: Mapping[type[BaseException], str] = {
    socket.gaierror: "no host of that name is found",
    ConnectionRefusedError: "nothing listens there (connection refused)",
    ConnectionResetError: f"it closes the connection; {_MAYBE_TLS}",
    asyncio.IncompleteReadError: f"it closes the connection; {_MAYBE_TLS}",
    ssl.SSLEOFError: f"it closes the connection; {_MAYBE_TLS}",
}
_MAX_CHAIN = 20


def as_ours(where: object, error: BaseException) -> SpringtideError:
    """``where`` is the address, without a secret in it. ``error`` is the library's, or one of those behind it."""
    for one in _chain(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return BadInput(f"{where}: its certificate is not trusted ({one.verify_message}); see ca_path and url")
        if isinstance(one, ssl.SSLError) and one.reason in _NO_TLS:
            return BadInput(f"{where}: it does not speak TLS there; see url")
        if (told := next((words for kind, words in _PASSING.items() if isinstance(one, kind)), None)) is not None:
            return Unavailable(f"{where}: {told}")
    if type(error).__name__ == "TimeoutError" or "timed out" in str(error):  # libraries have their own
        return Unavailable(f"{where}: no answer in time; {_MAYBE_TLS}")
    return Unavailable(f"{where}: {kind_and_reason_of(error)}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Those that it was raised from, too: libraries wrap what the system told them."""
    seen: BaseException | None = error
    for _ in range(_MAX_CHAIN):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__

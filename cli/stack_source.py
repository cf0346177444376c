"""Where a stack file comes from: a path, standard input (``-``), or an address that begins with http:// or https://."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from springtide.cli.gateway_client import LOOPBACK
from springtide.cli.yaml_text import MAX_CHARS
from springtide.runtime.errors import BadInput, reason_of

MAX_BYTES = 4 * MAX_CHARS
MAX_REDIRECTS = 5
FETCH_DEADLINE_S = 30.0
"""Until the last byte is there. A server that says nothing for ten seconds is given up before."""
_READ_S, _CONNECT_S = 10.0, 5.0
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """A stack file that was read: what to call it, its text, and the folder that its paths are relative to."""

    name: str
    text: str
    folder: Path


def read(where: str | Path) -> Source:
    """Raises BadInput for what cannot be read or is not text. Paths of what has no folder are relative to this one."""
    if where == STANDARD_INPUT:
        return Source("standard input", _decoded(_piped(sys.stdin.buffer), "standard input"), Path.cwd())
    if isinstance(where, str) and is_address(where):
        shown = _without_password(where)
        return Source(shown, _decoded(_fetched(where, shown), shown), Path.cwd())
    return from_file(Path(where))


def from_file(path: Path) -> Source:
    """``<(…)`` of a shell and /dev/stdin have no folder, either."""
    return Source(str(path), text_of(path), path.absolute().parent if path.is_file() else Path.cwd())


def is_address(where: str) -> bool:
    return where.lower().startswith(("http://", "https://"))


def text_of(path: Path) -> str:
    """Raises BadInput; what is longer than a stack file may be is cut just beyond that."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(MAX_CHARS + 1)  # too long, and refused as such; a device has no end
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path}: not a text file in UTF-8") from error


def _piped(stdin: BinaryIO) -> bytes:
    if stdin.isatty():
        raise BadInput("-f -: nothing is piped in; write: cat stack.yaml | springtide deploy -f -")
    return stdin.read(MAX_BYTES + 1)


def _decoded(content: bytes, name: str) -> str:
    if len(content) > MAX_BYTES:
        raise BadInput(f"{name}: more than {MAX_BYTES} bytes; a stack file is shorter")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}: not a text file in UTF-8") from error


def _fetched(address: str, shown: str) -> bytes:
    ends = time.monotonic() + FETCH_DEADLINE_S
    try:
        with (
            httpx.Client(
                timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S),
                follow_redirects=True,
                max_redirects=MAX_REDIRECTS,
                # Compressed, a few bytes could be gigabytes.
                headers={"User-Agent": "springtide", "Accept-Encoding": "identity"},
                # A proxy that the environment names is not for this machine's own addresses.
                trust_env=httpx.URL(address).host not in LOOPBACK,
            ) as client,
            client.stream("GET", address) as response,
        ):
            _check(response, shown)
            content = b""
            for piece in response.iter_raw():
                content += piece
                if len(content) > MAX_BYTES:
                    break
                if time.monotonic() > ends:
                    raise BadInput(f"{shown}: not there whole within {FETCH_DEADLINE_S:.0f} s; fetch it by other means")
            return content
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise BadInput(f"{shown}: {reason_of(error)}; check the address, or fetch it by other means") from error


def _check(response: httpx.Response, shown: str) -> None:
    if not response.is_success:
        raise BadInput(f"{shown}: answered {response.status_code} {response.reason_phrase}; check the address")
    if any(was.url.scheme == "https" for was in response.history) and response.url.scheme != "https":
        raise BadInput(f"{shown}: led from https to http, where anybody may change it; give an https address")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise BadInput(f"{shown}: answered compressed, although it was asked not to; fetch it by other means")


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()

"""What the settings of several sources have in common. Parsers raise ValueError, never with a secret in its text."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import SplitResult, urlsplit

from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_whole
from springtide.runtime.settings import words

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def name(text: str) -> str:
    """Of a group, a copy or a client; empty where there is none."""
    if text and not _NAME.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no name; take letters, digits and _.:-")
    return text


def several(text: str, most: int, *, remedy: str = "") -> tuple[str, ...]:
    """Names that commas separate, at most so many."""
    found = words(text)
    if len(found) > most:
        raise ValueError(f"{len(found)} are more than {most}" + (f"; {remedy}" if remedy else ""))
    return found


class Either(Generic[T]):
    """Reads one of two words, and returns what it means."""

    def __init__(self, meanings: Mapping[str, T]) -> None:
        self._meanings = meanings

    def __call__(self, text: str) -> T:
        try:
            return self._meanings[text]
        except KeyError:
            raise ValueError(f"{text[:40]!r} is neither {' nor '.join(self._meanings)}") from None

    def shown(self, value: object) -> str:
        """The word that means it."""
        return next(word for word, meaning in self._meanings.items() if meaning == value)


def bracketed(host: str) -> str:
    """As it is written in an address, before its port."""
    return f"[{host}]" if ":" in host else host


def address(text: str, *, scheme: str, secure: str) -> SplitResult:
    """The parts of ``scheme://host:port``, or ``secure`` for TLS; ``text`` may leave the former away. Its port can be
    read; what scheme and host are is not looked at."""
    try:
        parts = urlsplit(text if "://" in text else f"{scheme}://{text}")
        _ = parts.port
    except ValueError:
        raise ValueError(f"it cannot be read; write {scheme}://host:port or {secure}://host:port") from None
    if "@" in parts.netloc:
        raise ValueError("it holds a user or a password; put them into user and password_path")
    return parts


def password(path: str) -> str | None:
    """What is in the file, without white space around it; None where ``path`` is empty. Raises BadInput."""
    if not path:
        return None
    try:
        return read_whole(Path(path)).decode().strip()
    except OSError as error:
        raise BadInput(f"password_path: {path}: {error.strerror}") from error
    except UnicodeDecodeError:  # its own text has a part of the password
        raise BadInput(f"password_path: {path}: not a text in UTF-8") from None


def trust(ca_path: str) -> ssl.SSLContext:
    """By the certificates in that file, or by those of the system where it is empty. Raises BadInput."""
    try:
        return ssl.create_default_context(cafile=ca_path or None)
    except ssl.SSLError as error:
        raise BadInput(f"ca_path: {ca_path}: no certificates in it ({error.reason})") from error
    except OSError as error:
        raise BadInput(f"ca_path: {ca_path}: {error.strerror}") from error

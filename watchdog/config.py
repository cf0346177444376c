"""The watchdog's settings, from the function's environment, under the names OpenFaaS's watchdogs gave them.

Read twice by the same code: by the provider, which refuses a function whose settings make no sense, and by the replica.
"""

from __future__ import annotations

import enum
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from . import command_words
from .values import parse_duration_s, parse_switch

T = TypeVar("T")


class Mode(str, enum.Enum):
    """How a call reaches the function."""

    __str__ = str.__str__

    CLASSIC = "classic"
    """A new process for each call, answer sent when it ends."""
    STREAMING = "streaming"
    """A new process for each call, its output sent as it comes."""
    SERIALIZING = "serializing"
    """A new process for each call, body in and output out whole."""
    HTTP = "http"
    """One long-running program that is an HTTP server itself."""
    STATIC = "static"
    """Files of a folder."""
    PYTHON = "python"
    """A handler in the replica's own process."""


FORKING = (Mode.CLASSIC, Mode.STREAMING, Mode.SERIALIZING)

_FLAVOURS = "debian|slim|alpine|armhf|arm64|buster|bullseye|bookworm|trixie"
_CLASSIC = re.compile(rf"python3?(?:[.]?[0-9]+)?(?:-(?:{_FLAVOURS}))*")

MAX_SHOWN = 200
"""Characters of a wrong value that its problem repeats."""
UNSHOWN = ("fprocess", "function_process", "upstream_url")
MAX_INFLIGHT = 1_000_000
MAX_LOG_BUFFER, MAX_PORT = 1 << 30, 65_535
DEFAULT_TIMEOUT_S = 30.0
CLASSIC_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class WatchdogConfig:
    """Durations in seconds; an ``exec_timeout_s`` of 0 is no limit, a ``max_inflight`` of 0 neither."""

    mode: Mode
    command: tuple[str, ...] = ()
    handler: Path | None = None
    lang: str = ""
    """The handler's template, whose way of being called it has."""
    upstream_url: str = ""
    ready_path: str = ""
    static_path: Path | None = None
    read_timeout_s: float = DEFAULT_TIMEOUT_S
    write_timeout_s: float = DEFAULT_TIMEOUT_S
    exec_timeout_s: float = 0.0
    max_inflight: int = 0
    content_type: str = ""
    combine_output: bool = True
    cgi_headers: bool = True
    marshal_request: bool = False
    write_debug: bool = False
    buffer_http: bool = False

    @property
    def forks_handler(self) -> bool:
        """Each call is a process that is a fork, and calls the handler instead of running a command."""
        return self.mode is Mode.CLASSIC and self.handler is not None and is_classic(self.lang)

    @property
    def one_at_a_time(self) -> bool:
        """The program listens on a port it chose itself, so that a second replica would not fit beside it."""
        return self.mode is Mode.HTTP and bool(urlsplit(self.upstream_url).port)


def is_classic(lang: str) -> bool:
    """Whether it names a template of OpenFaaS whose Python handlers run in a process of their own for each call."""
    return _CLASSIC.fullmatch(lang.strip().lower()) is not None


def read(env: Mapping[str, str], handler: str | None = None, lang: str = "") -> tuple[WatchdogConfig, tuple[str, ...]]:
    """The settings and everything wrong with them.

    ``handler`` is the folder of a Python handler, if there is one, and ``lang`` the name of its template.
    """
    reader = _Reader(env)
    nothing: tuple[str, ...] = ()
    command = reader.get("fprocess", command_words.split, nothing)
    command = command or reader.get("function_process", command_words.split, nothing)
    unreadable = bool(reader.problems)
    forks_handler = bool(handler) and is_classic(lang)
    mode = reader.get("mode", _mode, Mode.PYTHON if handler and not forks_handler else Mode.CLASSIC)
    if forks_handler and mode is Mode.CLASSIC:
        command = ()  # The template's own starts a Python for each call; here that is a fork.
    timeout_s = CLASSIC_TIMEOUT_S if mode is Mode.CLASSIC else DEFAULT_TIMEOUT_S
    # A call of a Python handler cannot be ended from outside, and the classic watchdog has no limit either.
    exec_timeout_s = 0.0 if mode in (Mode.CLASSIC, Mode.PYTHON) else DEFAULT_TIMEOUT_S
    config = WatchdogConfig(
        mode=mode,
        command=command,
        handler=Path(handler) if handler else None,
        lang=lang,
        upstream_url=reader.get("upstream_url", _upstream, "http://127.0.0.1:0"),
        ready_path=reader.get("ready_path", _path, ""),
        static_path=reader.get("static_path", _absolute, None),
        read_timeout_s=reader.get("read_timeout", parse_duration_s, timeout_s),
        write_timeout_s=reader.get("write_timeout", parse_duration_s, timeout_s),
        exec_timeout_s=reader.get("exec_timeout", parse_duration_s, exec_timeout_s),
        max_inflight=reader.get("max_inflight", _whole, 0),
        content_type=reader.get("content_type", _header_value, ""),
        combine_output=reader.get("combine_output", parse_switch, True),
        cgi_headers=reader.get("cgi_headers", parse_switch, True),
        marshal_request=reader.get("marshal_request", parse_switch, False),
        write_debug=reader.get("write_debug", parse_switch, False),
        buffer_http=reader.get("buffer_http", parse_switch, False),
    )
    for name, parse in UNUSED.items():
        reader.get(name, parse, None)
    return config, (*reader.problems, *(() if unreadable else _missing(config)))


def not_there(config: WatchdogConfig, env: Mapping[str, str], folder: Path | None = None) -> str:
    """What the settings name and this machine does not have; empty when there is all. Relative to ``folder``.

    A program by its name is looked for on the function's own PATH.
    """
    if config.mode is Mode.STATIC and config.static_path is not None and not config.static_path.is_dir():
        return f"static_path: there is no folder {config.static_path}"
    if config.mode in (*FORKING, Mode.HTTP) and config.command and not _program_there(config.command[0], env, folder):
        return f"fprocess: there is no program {config.command[0]!r} on PATH {env.get('PATH', os.defpath)}"
    return ""


def _program_there(program: str, env: Mapping[str, str], folder: Path | None) -> bool:
    place = str(folder / program) if folder is not None and os.path.dirname(program) else program  # noqa: PTH120 - Path cannot tell ./x from x
    return shutil.which(place, path=env.get("PATH")) is not None


def _missing(config: WatchdogConfig) -> list[str]:
    if config.mode is Mode.STATIC and config.static_path is None:
        return ["static_path: missing; mode static serves the folder it names"]
    if config.mode is Mode.PYTHON and config.handler is None:
        return ["mode python needs a handler folder; deploy from a stack.yaml whose function has one"]
    if config.mode in (*FORKING, Mode.HTTP) and not config.command and not config.forks_handler:
        return [f"fprocess: missing; mode {config.mode} needs the command to run, as envProcess or as fprocess"]
    return []


class _Reader:
    """Reads variables one by one and keeps what is wrong with them. An empty variable is an unset one."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.problems: list[str] = []

    def get(self, name: str, parse: Callable[[str], T], default: T) -> T:
        text = self._env.get(name, "")
        if not text.strip():
            return default
        try:
            return parse(text)
        except ValueError as error:
            # A command, or an address, may have a password in it.
            shown = "" if name in UNSHOWN else f"={text[:MAX_SHOWN]!r}"
            self.problems.append(f"{name}{shown}: {error}")
            return default


def _mode(text: str) -> Mode:
    known = {mode.value for mode in Mode}
    if text not in known:
        raise ValueError(f"write one of {', '.join(sorted(known))}")
    return Mode(text)


def _whole(text: str, most: int = MAX_INFLIGHT) -> int:
    if not text.strip().isdecimal() or not text.isascii():
        raise ValueError("write a whole number, zero or more")
    if len(text.strip()) > len(str(most)) or int(text) > most:
        raise ValueError(f"write at most {most}")
    return int(text)


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("write a path such as /_/ready, other characters as %20")
    return text


def _header_value(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ValueError("write what a header may have, such as text/html; charset=utf-8")
    return text


def _absolute(text: str) -> Path | None:
    if not Path(text).is_absolute():
        raise ValueError("write an absolute path")
    return Path(text)


def _upstream(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("write http://127.0.0.1:PORT; port 0 lets the watchdog choose one and tell it in $PORT")
    _ = parts.port  # Raises ValueError when it is not a port.
    return text.rstrip("/")


def _log_buffer(text: str) -> int:
    return -1 if text.strip() == "-1" else _whole(text, MAX_LOG_BUFFER)


def _port(text: str) -> int:
    return _whole(text, MAX_PORT)


UNUSED: Mapping[str, Callable[[str], object]] = {
    "healthcheck_interval": parse_duration_s,
    "log_buffer_size": _log_buffer,
    "port": _port,
    "prefix_logs": parse_switch,
    "suppress_lock": parse_switch,
    "log_callid": parse_switch,
}
"""OpenFaaS's watchdogs read these, and nothing here needs them: a slip is told all the same."""

"""How requirements get into an environment: by uv, or by pip where uv is missing, with the operator's own settings.

uv does not read pip's configuration, so what an operator has there (an index, certificates) is translated. None of it
is passed on to functions, and no credentials of an address are ever told.
"""

from __future__ import annotations

import configparser
import contextlib
import importlib
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from springtide.runtime.errors import BadInput

PASSED = frozenset(
    {"HOME", "LANG", "PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"}
)
"""Of the operator's environment, beside what begins with UV_ or PIP_ and proxies."""
_NOT_PASSED = re.compile(
    r"UV_(PYTHON|PROJECT|SYSTEM|TARGET|PREFIX|WORKING|COLOR).*|PIP_(TARGET|PREFIX|USER|PYTHON|ROOT|SRC|REQUIREMENT|LOG)"
)
"""What would lead the installer to another environment than the one that is built."""
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Installer:
    """``command`` with the requirements behind it installs them; ``environ`` is all that it sees."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]


def installer(python: Path, operator: Mapping[str, str], *, cache: Path) -> Installer:
    """For the environment of this interpreter. Raises BadInput where the machine has none."""
    environ = _of_operator(operator)
    uv = _uv(environ)
    if uv is not None:
        own = {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_CACHE_DIR": str(cache), "UV_LINK_MODE": "hardlink"}
        options = ("pip", "install", "--python", str(python), "--compile-bytecode", "--no-python-downloads")
        return Installer("uv", (uv, *options), {**own, **_pip_for_uv(environ), **environ})
    if importlib.util.find_spec("pip") is not None:
        command = (sys.executable, "-m", "pip", "--python", str(python), "install", "--no-input", "--no-color")
        own = {"PIP_CACHE_DIR": str(cache.parent / "pip"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        return Installer("pip", (*command, "--progress-bar", "off"), {**own, **environ})
    raise BadInput("requirements cannot be installed: there is neither uv nor pip; run: pip install uv")


def redacted(text: str) -> str:
    """Without colours, and without the credentials of addresses."""
    return _CREDENTIALS.sub("***@", _COLOURS.sub("", text))


def _uv(environ: Mapping[str, str]) -> str | None:
    """The program inside the package, else one on PATH."""
    with contextlib.suppress(ImportError, FileNotFoundError):
        found: str = importlib.import_module("uv").find_uv_bin()
        return found
    return shutil.which("uv", path=environ.get("PATH", os.defpath))


def _of_operator(operator: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in operator.items()
        if (name in PASSED or name.lower() in _PROXIES or name.startswith(("UV_", "PIP_")))
        and not _NOT_PASSED.fullmatch(name)
    }


def _pip_for_uv(environ: Mapping[str, str]) -> dict[str, str]:
    """pip's configuration, from its files and its variables, in uv's words."""
    pip = _pip_settings(environ)
    found = {
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_INDEX": pip.get("extra-index-url", ""),
        "UV_FIND_LINKS": ",".join(pip.get("find-links", "").split()),
        "UV_NO_INDEX": "1" if pip.get("no-index", "").lower() in ("1", "true", "yes", "on") else "",
        "UV_CONSTRAINT": " ".join(pip.get("constraint", "").split()),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "SSL_CERT_FILE": pip.get("cert", ""),
        "ALL_PROXY": pip.get("proxy", ""),
    }
    if "UV_INDEX_URL" in environ:
        del found["UV_DEFAULT_INDEX"]
    if "UV_EXTRA_INDEX_URL" in environ:
        del found["UV_INDEX"]
    elif found["UV_INDEX"]:
        found["UV_INDEX"] = " ".join(found["UV_INDEX"].split())
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip does it, whose settings these are
    return {name: value for name, value in found.items() if value}


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """As pip has it: later files win over earlier ones, ``[install]`` over ``[global]``, variables over files."""
    settings: dict[str, str] = {}
    for file in _pip_files(environ):
        parser = configparser.RawConfigParser()
        with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
            parser.read(file)
        for section in ("global", "install"):
            if parser.has_section(section):
                settings |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            settings[name[4:].lower().replace("_", "-")] = value
    return settings


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    chosen = environ.get("PIP_CONFIG_FILE", "")
    if chosen == os.devnull:
        return
    yield Path("/etc/xdg/pip/pip.conf")
    yield Path("/etc/pip.conf")
    if "HOME" in environ:
        yield Path(environ["HOME"], ".pip", "pip.conf")
        yield Path(environ["HOME"], ".config", "pip", "pip.conf")
    yield Path(sys.prefix, "pip.conf")
    if chosen:
        yield Path(chosen)

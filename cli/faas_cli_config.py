"""The file in which faas-cli keeps its log-ins, read and written so that both tools share them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from springtide.cli import yaml_problems, yaml_text
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import BadInput
from springtide.runtime.files import write_atomic


@dataclass(frozen=True, slots=True)
class LoginFile:
    """``~/.openfaas/config.yml``, or below ``OPENFAAS_CONFIG``: a folder, or a file if its name ends in .yml."""

    path: Path

    @classmethod
    def default(cls, environ: Mapping[str, str]) -> LoginFile:
        asked = environ.get("OPENFAAS_CONFIG")
        if asked and asked.endswith((".yml", ".yaml")):
            return cls(Path(asked))
        home = Path(environ.get("HOME") or Path.home())
        return cls((Path(asked) if asked else home / ".openfaas") / "config.yml")

    def credentials(self, gateway: str) -> Credentials | None:
        """The log-in for a gateway; None when there is none, or one of a kind we cannot use."""
        for entry in self._entries(self._read()):
            if entry.get("gateway") == normal(gateway) and entry.get("auth") == "basic":
                return _decoded(str(entry.get("token", "")), self.path)
        return None

    def remember(self, gateway: str, credentials: Credentials) -> None:
        """Add or replace the log-in for a gateway; all else in the file stays."""
        root = self._read()
        token = base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()
        entries = [entry for entry in self._entries(root) if entry.get("gateway") != normal(gateway)]
        root["auths"] = [*entries, {"gateway": normal(gateway), "auth": "basic", "token": token}]
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(self.path, yaml.safe_dump(root, sort_keys=False).encode(), mode=0o600)
        except OSError as error:
            raise BadInput(f"{self.path}: {error.strerror}") from error

    def _read(self) -> dict[str, Any]:
        try:
            text = self.path.read_text()
            yaml_text.check_bounds(text)
            root = yaml.safe_load(text)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise BadInput(f"{self.path}: not readable ({_short(error)}); repair it or move it away") from error
        if root is not None and not isinstance(root, dict):
            raise BadInput(f"{self.path}: not a faas-cli configuration; repair it or move it away")
        return root or {}

    def _entries(self, root: Mapping[str, Any]) -> list[dict[str, Any]]:
        entries = root.get("auths") or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise BadInput(f"{self.path}: auths must be a list of log-ins; repair it or move it away")
        return entries


def normal(gateway: str) -> str:
    """A gateway's URL as it is compared: lower-case, without a slash at its end, with a scheme."""
    gateway = gateway.strip().lower().rstrip("/")
    return gateway if "://" in gateway else f"http://{gateway}"


def _decoded(token: str, path: Path) -> Credentials:
    try:
        user, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: a token is not base64; run springtide login again") from error
    if not colon:
        raise BadInput(f"{path}: a token is not user:password; run springtide login again")
    return Credentials(user, password)


def _short(error: Exception) -> str:
    if isinstance(error, yaml.YAMLError):
        return yaml_problems.place(error)
    return str(getattr(error, "strerror", None) or error).replace("\n", " ")

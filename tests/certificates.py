"""A certificate of a server on 127.0.0.1 that nobody signed but itself."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

MAKE = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")
NAMED = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")


class Certificate(NamedTuple):
    crt: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """For a server that shows it."""
        shows = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        shows.load_cert_chain(self.crt, self.key)
        return shows


def self_signed(folder: Path, name: str = "server") -> Certificate:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    files = ("-keyout", str(made.key), "-out", str(made.crt))
    subprocess.run([*MAKE, *NAMED, *files], check=True, capture_output=True)
    return made

"""A real PostgreSQL for tests, one for all of a session's: initdb takes longer than they do.

It refuses to run as root, so as root it is nobody's, and so is its data, in a folder that nobody can get at.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from tests.debian_programs import Program, program
from tests.free_ports import free_port
from tests.session_servers import for_the_session

START_S = 180.0
USER = "springtide"
WITH_PASSWORD = "with_password"
"""Roles in this one need one; others do not."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_connections": "40",
    "max_replication_slots": "100",
    "max_wal_senders": "1",
    "shared_buffers": "16MB",
    "fsync": "off",  # what a killed process has written stays; machines are not killed here
    "autovacuum": "off",
}
_numbers = itertools.count(1)


class PostgresServer:
    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self._program = program("postgres", "postgresql", "usr/lib/postgresql/*/bin")
        self._owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        if self._owner is not None:
            _refuse_hidden(self._program)
            os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
        words = ["-D", str(folder / "data"), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        initdb = self._begin(self._program.path.with_name("initdb"), words)
        assert initdb.wait() == 0, self._log.read_text()
        access = folder / "data/pg_hba.conf"
        access.write_text(f"host all +{WITH_PASSWORD} 127.0.0.1/32 scram-sha-256\n{access.read_text()}")

    @property
    def _log(self) -> Path:
        return self._folder / "server.log"

    def _begin(self, path: Path, words: list[str]) -> subprocess.Popen[bytes]:
        as_whom = {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": ()} if self._owner else {}
        with self._log.open("ab") as log:
            return subprocess.Popen(  # type: ignore[call-overload] # which words there are is not seen
                [str(path), *words],
                cwd=self._folder,
                env=dict(self._program.environ) | {"LC_ALL": "C"},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                **as_whom,
            )

    def start(self) -> None:
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        words = ["-D", str(self._folder / "data"), "-p", str(self.port), *settings]
        end = time.monotonic() + START_S
        self._process = self._begin(self._program.path, words)
        while True:
            with contextlib.suppress(psycopg.Error), self.connect("postgres"):
                return
            if self._process.poll() is not None:  # children of one that was killed may not have noticed yet
                self._process = self._begin(self._program.path, words)
            assert time.monotonic() < end, self._log.read_text()[-4000:]
            time.sleep(0.05)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, how)
            self._process.wait()

    def connect(self, database: str, user: str = USER) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, autocommit=True, connect_timeout=60
        )

    def database(self) -> str:
        """A new one."""
        name = f"test_{next(_numbers)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name


def _refuse_hidden(program: Program) -> None:
    for folder in program.path.resolve().parents:
        if not folder.stat().st_mode & 0o001:
            pytest.skip(f"PostgreSQL does not run as root, and others cannot enter {folder}")


@functools.cache
def shared() -> PostgresServer:
    """Skips the test where there is none."""
    server = for_the_session("springtide-postgres-", PostgresServer)
    with server.connect("postgres") as connection:
        connection.execute(f"CREATE ROLE {WITH_PASSWORD}".encode())
    return server

"""A real RabbitMQ for tests, one for all of a session's: Erlang takes seconds to start it."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.debian_programs import Program, program
from tests.free_ports import free_port
from tests.server_process import ServerProcess
from tests.session_servers import for_the_session

PASSWORD = "s3cret"
USER, READER = "springtide", "reader"
"""Who may all, and who may only read, not make queues."""
SALT = b"salt"
ERL = """#!/bin/sh
export ROOTDIR={root} BINDIR={programs} EMU=beam PROGNAME=erl
exec {programs}/erlexec "$@"
"""
"""Debian's own knows one place only where it may be."""


class RabbitmqServer:
    """Its names are known to an epmd of its own, which Erlang would start and leave behind."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        found = program("rabbitmq-server", "rabbitmq-server", "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin")
        root = found.path.parents[6]
        """Of the system, or of the unpacked packages."""
        self._erts = next(root.glob("usr/lib/erlang/erts-*/bin"), root)
        if self._erts == root:
            pytest.skip(f"there is a {found.path}, but no Erlang of Debian's beside it")
        self._names = free_port()
        (folder / "erl").write_text(ERL.format(root=self._erts.parents[1], programs=self._erts))
        (folder / "erl").chmod(0o755)
        (folder / "plugins").write_text("[].\n")
        (folder / "definitions.json").write_text(json.dumps(_definitions()))
        (folder / "rabbitmq.conf").write_text(f"load_definitions = {folder}/definitions.json\n")
        self.process = ServerProcess(Program(found.path, self._environ(found)), [], folder, self._answers)
        self._epmd: subprocess.Popen[bytes] | None = None

    def _environ(self, found: Program) -> dict[str, str]:
        folder = str(self._folder)
        return {
            **found.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "HOME": folder,
            "RUNNING_UNDER_SYSTEMD": "true",  # then it is the process that was started
            "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_FEATURE_FLAGS": "quorum_queue",  # each that it enables takes a second
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def start(self) -> None:
        self._epmd = subprocess.Popen(
            [self._erts / "epmd", "-port", str(self._names), "-address", "127.0.0.1"], stdin=subprocess.DEVNULL
        )
        self.process.start()

    def kill(self) -> None:
        """Both: a name of a process that was killed may still be known."""
        self.process.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()

    def _answers(self) -> bool:
        """It greets whoever speaks its protocol."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=5.0) as connection,
        ):
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
        return False


def _definitions() -> dict[str, object]:
    hashed = base64.b64encode(SALT + hashlib.sha256(SALT + PASSWORD.encode()).digest()).decode()
    algorithm = "rabbit_password_hashing_sha256"
    users = [
        {"name": name, "password_hash": hashed, "hashing_algorithm": algorithm, "tags": ""} for name in (USER, READER)
    ]
    every, none = ".*", "^$"
    rights = [
        {"user": USER, "vhost": "/", "configure": every, "write": every, "read": every},
        {"user": READER, "vhost": "/", "configure": none, "write": none, "read": every},
    ]
    return {"users": users, "vhosts": [{"name": "/"}], "permissions": rights}


@functools.cache
def shared() -> RabbitmqServer:
    """Skips the test where there is none."""
    return for_the_session("springtide-rabbitmq-", RabbitmqServer)

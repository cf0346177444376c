"""Runs a command inside a new pod network: ``python -m tests.kubernetes.pod_network COMMAND...``."""

from __future__ import annotations

import os
import sys

from tests.kubernetes.pod_network import namespace

if len(sys.argv) < 2:
    sys.exit("usage: python -m tests.kubernetes.pod_network COMMAND...")
try:
    namespace.enter()
except OSError as error:
    sys.exit(f"no private network on this machine: {error}")
os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - running the given command is the purpose

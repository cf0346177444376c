"""Leadership of a part: a Lease where copies were asked for, else the only copy there is."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from springtide.runtime.kubernetes.api import connected
from springtide.runtime.kubernetes.lease import Lease
from springtide.runtime.kubernetes.lease_record import LeaseName
from springtide.runtime.kubernetes.session import ACCOUNT
from springtide.runtime.kubernetes.settings import KubernetesSettings, LeaseSettings
from springtide.runtime.service import Service
from springtide.scaler.core.ports import Leadership
from springtide.wire.leadership import Always

Led = AbstractAsyncContextManager[tuple[Leadership, Sequence[Service]]]
"""Who leads, and the services that find out: to be started before what they guard, and stopped after it."""


@asynccontextmanager
async def led(
    part: str, lease: LeaseSettings, kubernetes: KubernetesSettings
) -> AsyncIterator[tuple[Leadership, Sequence[Service]]]:
    """See ``Led``."""
    if not lease.leader_election:
        yield Always(), []
        return
    name = LeaseName(lease.lease_namespace or _own_namespace(ACCOUNT), lease.lease_name or f"springtide-{part}")
    async with connected(kubernetes) as api:
        # The host's name is the pod's, which tells people who leads; a restarted container has the same one.
        identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
        election = Lease(api, name, lease, identity=identity)
        yield election, [election]


def _own_namespace(account: Path) -> str:
    """That of our pod; outside of a cluster ``default``, as kubectl has it."""
    file = account / "namespace"
    return file.read_text().strip() if file.is_file() else "default"

"""Two alert receivers as processes: deliveries are for the leader, and for the other one once that has gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from springtide.cli.ports import PortClaims, free
from tests.fakes.alertmanager import alert, body
from tests.kubernetes.idlers import ECHO, ROOT, Field, field_of_idlers

LEASE = "springtide-alert-receiver"


def start(field: Field, port: int) -> subprocess.Popen[bytes]:
    kubeconfig = field.cluster.write_kubeconfig(field.folder / "kubeconfig")
    words = f"""-m springtide.cli alert-receiver --no-basic-auth --port {port} --provider-url http://127.0.0.1:{field.port}
        --leader-election --kubeconfig {kubeconfig} --lease-namespace openfaas
        --lease-duration 2s --lease-renew-deadline 1200ms --lease-retry 200ms"""
    process = subprocess.Popen([sys.executable, *words.split()], cwd=ROOT, env={"PATH": os.environ["PATH"]})
    field.stack.callback(process.wait, 10)
    field.stack.callback(process.kill)
    return process


async def readiness(client: httpx.AsyncClient, port: int) -> int:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code
    except httpx.TransportError:
        return 0


async def until_ready(client: httpx.AsyncClient, port: int, status: int) -> None:
    async with asyncio.timeout(60):
        while await readiness(client, port) != status:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)


async def test_only_the_leader_is_ready_and_another_takes_over(tmp_path: Path) -> None:
    async with field_of_idlers(tmp_path) as field, httpx.AsyncClient(timeout=10, trust_env=False) as client:
        delivery = body(alert(str(ECHO)))
        field.provider.role = f"openfaas/{LEASE}"
        field.provider.wakes = False
        one, two = free("127.0.0.1", PortClaims()), free("127.0.0.1", PortClaims())
        leader = start(field, one)
        await until_ready(client, one, 200)
        start(field, two)
        await until_ready(client, two, 503)
        refused = await client.post(f"http://127.0.0.1:{two}/system/alert", content=delivery)
        assert refused.status_code == 503
        assert (await client.post(f"http://127.0.0.1:{one}/system/alert", content=delivery)).status_code == 200
        assert await field.provider.count() == 5

        leader.send_signal(signal.SIGTERM)
        await until_ready(client, two, 200)
        assert (await client.post(f"http://127.0.0.1:{two}/system/alert", content=delivery)).status_code == 200
        assert await field.provider.count() == 9
        terms = [write.term for write in field.provider.writes]
        assert len(set(terms)) == 2
        assert terms == sorted(terms)
        assert leader.wait(120) == 0

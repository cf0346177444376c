"""What a suite takes while nothing happens: memory and processor time of each process, two sample functions asleep."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from bench.children import Child
from bench.report import Row
from springtide.runtime.basic_auth import Credentials

SPRINGTIDE = (sys.executable, "-P", "-m", "springtide.cli")
OTHERS = ("prometheus", "alertmanager", "nats")
"""Parts that are not ours."""

DEADLINE_S = 60.0
SETTLE_S = 10.0
"""From the last replica's end to the first look: a scrape or two, and the console's poll."""


def rest(
    folder: Path, *, seconds: int, springtide: Sequence[str] = SPRINGTIDE, options: Sequence[str] = ()
) -> Iterator[Row]:
    """One row a process, then the sums of what is ours and of all. ``springtide`` is the program to measure."""
    with suite(folder, (*springtide, "up", "--state-dir", str(folder), *options)) as (up, run):
        _put_to_sleep(run, Credentials.from_folder(folder / "secrets"))
        time.sleep(SETTLE_S)
        names = _names(up, run)
        before = {pid: Child(pid, name).own_cpu_s() for pid, name in names.items()}
        time.sleep(seconds)
        rows = [
            {
                "process": name,
                "pss_mib": Child(pid, name).own_proportional_bytes() / 2**20,
                "cpu_percent": (Child(pid, name).own_cpu_s() - before[pid]) / seconds * 100,
            }
            for pid, name in names.items()
        ]
    yield from rows
    ours = [row for row in rows if row["process"] not in OTHERS]
    yield _sum("ours", ours)
    yield _sum("all", rows)


def _sum(name: str, rows: Sequence[Row]) -> Row:
    return {"process": f"{name} ({len(rows)})", **{key: sum(row[key] for row in rows) for key in list(rows[0])[1:]}}


@contextlib.contextmanager
def suite(folder: Path, command: Sequence[str]) -> Iterator[tuple[Child, Mapping[str, Any]]]:
    ports = ("--gateway-port", "0", "--metrics-port", "0", "--prometheus-port", "0", "--alertmanager-port", "0")
    up = subprocess.Popen([*command, *ports, "--json"], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert up.stdout is not None
        ready = up.stdout.readline()
        if not ready:
            raise RuntimeError(f"the suite did not start; see {folder}/logs")
        yield Child(up.pid, "up"), json.loads(ready)
    finally:
        up.terminate()
        up.communicate(timeout=DEADLINE_S)


def _put_to_sleep(run: Mapping[str, Any], user: Credentials) -> None:
    with httpx.Client(base_url=run["gateway"], auth=(user.user, user.password), timeout=30) as client:
        names = [function["name"] for function in client.get("/system/functions").json()]
        for name in names:
            client.get(f"/function/{name}")
            asked = {"serviceName": name, "replicas": 0}
            client.post(f"/system/scale-function/{name}", json=asked).raise_for_status()
        deadline = time.monotonic() + DEADLINE_S
        while any(client.get(f"/system/function/{name}").json().get("availableReplicas") for name in names):
            if time.monotonic() > deadline:
                raise RuntimeError("the samples do not fall asleep")
            time.sleep(0.1)


def _names(suite: Child, run: Mapping[str, Any]) -> dict[int, str]:
    """Each process as the suite calls it; one that it does not know of by what it calls itself, or by its parent."""
    parts: dict[int, list[str]] = {}
    for part, pid in run["parts"].items():
        parts.setdefault(pid, []).append(part)
    names = {pid: ", ".join(those) for pid, those in parts.items()} | {suite.pid: suite.name}
    for pid in suite.tree():
        if pid not in names:
            own = Path(f"/proc/{pid}/comm").read_text().strip()
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            names[pid] = own if not own.startswith(("python", "springtide")) else f"below {names[parent]}"
    return {pid: names[pid] for pid in suite.tree()}

"""Processor time of each function, over all replicas it ever had, counted only when somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from springtide.provider.machine.ports import Deployment
from springtide.provider.machine.usage import processor_seconds
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.wire.processor_use import CpuTotal


@dataclass(slots=True)
class _Account:
    """Of one deployment. ``running`` is what each replica had used when it was last looked at."""

    since: Instant
    ended_s: float = 0.0
    running: dict[str, float] = field(default_factory=dict)

    def end(self, instance: str, used_s: float) -> None:
        self.ended_s += max(used_s, self.running.pop(instance, 0.0))

    def see(self, instance: str, used_s: float) -> None:
        """It never falls, though a process that ended between two looks may be missing from one."""
        self.running[instance] = max(used_s, self.running.get(instance, 0.0))

    @property
    def total_s(self) -> float:
        return self.ended_s + sum(self.running.values())


class ProcessorTime:
    """Totals that only grow, for as long as a function is deployed and this provider runs.

    The host tells what a replica that ended had used, so that nothing is lost between two looks; where it cannot, the
    last look counts.
    """

    def __init__(self, deployments: Callable[[], Iterable[Deployment[Any]]], clock: Clock) -> None:
        self._deployments, self._clock = deployments, clock
        self._accounts: dict[str, _Account] = {}

    def __repr__(self) -> str:
        return f"<ProcessorTime {len(self._accounts)} functions>"

    def ended(self, deployment: Deployment[Any], instance: str, used_s: float) -> None:
        """A replica ended, having used ``used_s`` with everything it started and collected."""
        self._account(deployment).end(instance, used_s)

    async def totals(self) -> dict[FunctionRef, CpuTotal]:
        """Of every function that is deployed, in one look through /proc."""
        pids = {
            replica.instance: replica.pid
            for deployment in self._deployments()
            for replica in deployment.replicas.values()
            if replica.pid
        }
        used = await asyncio.to_thread(processor_seconds, pids.values()) if pids else {}
        totals, there = {}, set()
        for deployment in self._deployments():
            there.add(deployment.record.uid)
            account = self._account(deployment)
            for instance in account.running.keys() - deployment.replicas.keys():
                account.end(instance, 0.0)
            for instance in deployment.replicas:
                if (pid := pids.get(instance)) in used:
                    account.see(instance, used[pid])
            if not deployment.retired:
                totals[deployment.record.ref] = CpuTotal(account.total_s, account.since)
        self._accounts = {uid: account for uid, account in self._accounts.items() if uid in there}
        return totals

    def _account(self, deployment: Deployment[Any]) -> _Account:
        uid = deployment.record.uid
        if uid not in self._accounts:
            self._accounts[uid] = _Account(Instant(self._clock.wall()))
        return self._accounts[uid]

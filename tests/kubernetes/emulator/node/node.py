"""The node: takes in every pod, gives it an address, and lets its logs and its CPU be read."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.node import log_requests
from tests.kubernetes.emulator.node.pod import NODE, Pod
from tests.kubernetes.emulator.node.processes import ProcessHost
from tests.kubernetes.emulator.node.service_proxy import ServiceProxy
from tests.kubernetes.emulator.objects import Object, dig, name_of, namespace_of, timestamp, uid_of
from tests.kubernetes.emulator.operations import Operations
from tests.kubernetes.emulator.request_info import RequestInfo
from tests.kubernetes.emulator.resources import StoreKey
from tests.kubernetes.emulator.settings import EmulatorSettings, Image
from tests.kubernetes.emulator.statuses import not_found
from tests.kubernetes.emulator.store import Change, Kind

PODS = StoreKey("", "pods")
_FIRST, _MOST = 10, 65_000


class Node:
    def __init__(self, operations: Operations, settings: EmulatorSettings, images: Mapping[str, Image]) -> None:
        self._operations, self._settings, self._images = operations, settings, images
        self._actor = Actor(operations, "kubelet")
        self._processes = ProcessHost()
        self._proxy = ServiceProxy(operations.store)
        self._pods: dict[str, Pod] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._addresses: set[int] = set()
        self._next = _FIRST
        self._stack = contextlib.ExitStack()
        operations.read_logs, operations.pod_metrics = self.logs, self.metrics

    def __repr__(self) -> str:
        return f"<Node {len(self._pods)} pods, {self._processes!r}>"

    async def start(self) -> None:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="emulator-node-")))
        self._stack.callback(self._operations.store.listen(self._heard))
        if self._settings.service_addresses:
            await self._proxy.start()
        labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        self._actor.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}})

    async def stop(self) -> None:
        """End every pod at once; their objects stay as they are."""
        await self._proxy.stop()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._processes.stop()
        self._stack.close()

    def address_of(self, pod: Object) -> str:
        return self._pods[uid_of(pod)].address

    def cpu_millis(self, pod: Object) -> float:
        """What a pod is using, by the images of its containers."""
        total = 0.0
        for container in pod["spec"]["containers"]:
            image = self._images.get(container["image"], self._settings.default_image)
            used = image.cpu_millis if image is not None else 0.0
            total += used(pod) if callable(used) else used
        return total

    def logs(self, pod: Object, query: Mapping[str, str]) -> AsyncGenerator[bytes]:
        """Raises ApiError."""
        name = log_requests.chosen(pod, query)
        running = self._pods.get(uid_of(pod))
        return log_requests.read(pod, running.container(name) if running else None, name, query)

    def metrics(self, info: RequestInfo) -> Object:
        """As the metrics server tells it. Raises ApiError 404."""
        pods = [
            pod
            for pod in self._operations.store.objects(PODS, info.namespace)
            if dig(pod, "status", "phase") == "Running" and info.name in ("", name_of(pod))
        ]
        entries = [self._usage(pod) for pod in pods]
        if info.name:
            if not entries:
                raise not_found("metrics.k8s.io", "pods", info.name)
            return entries[0]
        return {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": entries}

    def _usage(self, pod: Object) -> Object:
        used = f"{round(self.cpu_millis(pod))}m"
        containers = [
            {"name": one["name"], "usage": {"cpu": used, "memory": "32Mi"}} for one in pod["spec"]["containers"]
        ]
        return {
            "kind": "PodMetrics",
            "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": {"name": name_of(pod), "namespace": namespace_of(pod)},
            "timestamp": timestamp(),
            "window": "15s",
            "containers": containers,
        }

    def _heard(self, change: Change) -> None:
        if change.key != PODS:
            return
        uid = uid_of(change.object)
        if change.kind is Kind.ADDED:
            self._take_in(uid, change.object)
        elif uid in self._pods:
            pod = self._pods[uid]
            if change.kind is Kind.DELETED:
                pod.removed()
            else:
                pod.heard(change.object)

    def _take_in(self, uid: str, thing: Object) -> None:
        number = self._address()
        pod = Pod(
            thing,
            f"10.244.{number // 256}.{number % 256}",
            actor=self._actor,
            settings=self._settings,
            images=self._images,
            processes=self._processes,
            folder=self._folder / uid,
        )
        self._pods[uid] = pod
        task = asyncio.create_task(pod.run(), name=f"pod {name_of(thing)}")
        self._tasks[uid] = task
        task.add_done_callback(lambda _: self._let_go(uid, number))

    def _address(self) -> int:
        """The next free one, going round, so that an address is not used again soon."""
        while self._next in self._addresses:
            self._next = self._next + 1 if self._next < _MOST else _FIRST
        number = self._next
        self._addresses.add(number)
        self._next += 1
        return number

    def _let_go(self, uid: str, number: int) -> None:
        self._pods.pop(uid, None)
        task = self._tasks.pop(uid)
        self._addresses.discard(number)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "a pod failed", "exception": error})

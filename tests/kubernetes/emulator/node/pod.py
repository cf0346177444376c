"""One pod on the node: from its binding to its removal."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from tests.kubernetes.emulator import conditions
from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.node import environment
from tests.kubernetes.emulator.node.container import Container
from tests.kubernetes.emulator.node.environment import NotThere
from tests.kubernetes.emulator.node.logs import LogBuffer
from tests.kubernetes.emulator.node.probes import Target, attempt, execute
from tests.kubernetes.emulator.node.processes import CannotStart, Process, ProcessHost, Start
from tests.kubernetes.emulator.objects import Object, deleting, dig, labels_of, name_of, namespace_of, timestamp, uid_of
from tests.kubernetes.emulator.settings import EmulatorSettings, Image
from tests.kubernetes.emulator.statuses import ApiError

NODE, HOST_IP = "node-1", "10.244.0.1"
MOUNT_RETRY_S = SCHEDULE_RETRY_S = 0.2


class Pod:
    """Runs as one task; ``address`` is the pod's own."""

    def __init__(
        self, pod: Object, address: str, *, actor: Actor, settings: EmulatorSettings, images: Mapping[str, Image],
        processes: ProcessHost, folder: Path,
    ) -> None:  # fmt: skip
        self._pod, self.address = pod, address
        self._actor, self._settings, self._images = actor, settings, images
        self._processes, self._folder = processes, folder
        self._deleted = asyncio.Event()
        self._gone = False
        taken_in = time.monotonic()
        self.containers = [Container(one, self, settings, taken_in) for one in pod["spec"]["containers"]]
        self._has_address = False
        self._since = timestamp()

    def heard(self, pod: Object) -> None:
        """The object has changed."""
        self._pod = pod
        if deleting(pod):
            self._deleted.set()

    def removed(self) -> None:
        """The object is gone, by force or from here: so is the pod."""
        self._gone = True
        self._deleted.set()

    def container(self, name: str) -> Container | None:
        return next((one for one in self.containers if one.spec["name"] == name), None)

    async def run(self) -> None:
        life = asyncio.ensure_future(self._live())
        deleted = asyncio.ensure_future(self._deleted.wait())
        try:
            await asyncio.wait([life, deleted], return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                life.result()
            await self._end()
        finally:
            for one in self.containers:
                one.kill()
            for task in (life, deleted):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._remove()

    async def _live(self) -> None:
        await asyncio.sleep(self._settings.schedule_s)
        while True:
            if self._fits_node():
                break
            await asyncio.sleep(SCHEDULE_RETRY_S)
        self._bind()
        await self._mounted()
        await asyncio.sleep(self._settings.start_s)
        async with asyncio.TaskGroup() as group:
            for one in self.containers:
                group.create_task(one.run())

    def _fits_node(self) -> bool:
        """Whether the node has the labels that the pod asks for; if not, the pod says so."""
        current = self._current()
        wanted = dig(current, "spec", "nodeSelector", default={})
        node = self._actor.get("nodes", "", NODE)
        if current is None or node is None or wanted.items() <= labels_of(node).items():
            return True
        words = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        no: Object = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
        found = conditions.updated(dig(current, "status", "conditions", default=[]), no)
        self._actor.write_status("pods", current, current.get("status", {}) | {"conditions": found})
        return False

    def _bind(self) -> None:
        current = self._current()
        if current is None:
            return
        bound = self._actor.write(
            "pods", current | {"spec": current["spec"] | {"nodeName": NODE}}, subresource="binding"
        )
        scheduled = _condition("PodScheduled", true=True)
        found = conditions.updated(dig(bound, "status", "conditions", default=[]), scheduled)
        self._pod = self._actor.write_status("pods", bound, bound.get("status", {}) | {"conditions": found})
        self.tell("Scheduled", f"Successfully assigned {namespace_of(current)}/{name_of(current)} to {NODE}")

    async def _mounted(self) -> None:
        """Wait until every secret and config map that a volume names is there."""
        told = ""
        while True:
            try:
                for one in self.containers:
                    target = self._folder / one.spec["name"]
                    environment.mount(self._actor, self._pod, one.spec, target)
            except NotThere as error:
                if str(error) != told:
                    told = str(error)
                    self.tell("FailedMount", f"MountVolume.SetUp failed for volume: {error}", "Warning")
                    self.changed()
                await asyncio.sleep(MOUNT_RETRY_S)
            else:
                return

    async def _end(self) -> None:
        """preStop, SIGTERM, SIGKILL, within one grace period."""
        grace_s = float(dig(self._pod, "metadata", "deletionGracePeriodSeconds", default=0))
        ends_at = time.monotonic() + grace_s
        for one in self.containers:
            one.end()
        if self._gone or not grace_s:
            return
        self.tell("Killing", f"Stopping container {self.containers[0].spec['name']}")
        await asyncio.gather(*(self._stop(one, ends_at) for one in self.containers))

    async def _stop(self, one: Container, ends_at: float) -> None:
        hook = dig(one.spec, "lifecycle", "preStop")
        if hook is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ends_at - time.monotonic()):
                    await self._pre_stop(hook, one)
        await one.stop(ends_at - time.monotonic())

    async def _pre_stop(self, hook: Object, one: Container) -> None:
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook:
            await execute(hook["exec"]["command"], self.target(one.spec))
        else:
            await attempt(hook | {"timeoutSeconds": 3600}, self.target(one.spec))

    def _remove(self) -> None:
        current = self._current()
        if current is not None and deleting(current):
            if current["metadata"].get("finalizers"):
                meta = current["metadata"] | {"deletionGracePeriodSeconds": 0}
                self._actor.write("pods", current | {"metadata": meta}, subresource="status")
                return
            self._actor.delete("pods", current, grace_s=0)

    def _current(self) -> Object | None:
        found = self._actor.get("pods", namespace_of(self._pod), name_of(self._pod))
        return found if found is not None and uid_of(found) == uid_of(self._pod) else None

    # What containers ask.

    def image(self, name: str) -> Image | None:
        return self._images.get(name, self._settings.default_image)

    async def start_process(self, container: Object, image: Image, log: LogBuffer) -> Process:
        """Raises CannotStart."""
        target = self.target(container)
        try:
            own = environment.variables(self._actor, self._pod, container, image)
        except NotThere as error:
            raise CannotStart(str(error)) from error
        work, secrets = self._folder / "work", self._folder / container["name"]
        stage = self._folder / "stage"
        for folder in (work, stage, secrets):
            folder.mkdir(parents=True, exist_ok=True)
        wanted = Start(
            name=name_of(self._pod),
            image=image,
            env={"HOME": str(work), "HOST": self.address, "PORT": str(target.port)} | own,
            host=self.address,
            port=target.port,
            secrets_folder=secrets,
            has_secrets=any(secrets.iterdir()),
            stage_folder=stage,
            work_folder=work,
            read_only=bool(dig(container, "securityContext", "readOnlyRootFilesystem")),
            grace_s=float(dig(self._pod, "spec", "terminationGracePeriodSeconds", default=30)),
        )
        return await self._processes.start(wanted, log)

    def target(self, container: Object) -> Target:
        port = dig(container, "ports", 0, "containerPort", default=8080)
        return Target(self._pod, self.address, port, {"PATH": "/usr/bin:/bin"})

    def changed(self) -> None:
        """Tell the server how the pod is."""
        current = self._current()
        if current is None or not dig(current, "spec", "nodeName"):
            return
        statuses = [one.status() for one in self.containers]
        started = all("waiting" not in one["state"] or one["restartCount"] for one in statuses)
        self._has_address = self._has_address or started
        ready = all(one["ready"] for one in statuses)
        found = dig(current, "status", "conditions", default=[])
        for kind, true in (
            ("PodReadyToStartContainers", started),
            ("Initialized", True),
            ("Ready", ready),
            ("ContainersReady", ready),
        ):
            names = " ".join(one["name"] for one in statuses if not one["ready"])
            new = _condition(kind, true=true, names=names if kind in ("Ready", "ContainersReady") else "")
            found = conditions.updated(found, new)
        status = current.get("status", {}) | {
            "phase": "Running" if started else "Pending",
            "conditions": found,
            "containerStatuses": statuses,
            "hostIP": HOST_IP,
            "hostIPs": [{"ip": HOST_IP}],
            "startTime": self._since,
        }
        if self._has_address:
            status |= {"podIP": self.address, "podIPs": [{"ip": self.address}]}
        self._actor.write_status("pods", current, status)

    def tell(self, reason: str, message: str, kind: str = "Normal") -> None:
        with contextlib.suppress(ApiError):
            self._actor.tell(self._pod, reason, message, kind=kind)


def _condition(kind: str, *, true: bool, names: str = "") -> Object:
    found: Object = {"type": kind, "status": "True" if true else "False"}
    if not true and names:
        found |= {"reason": "ContainersNotReady", "message": f"containers with unready status: [{names}]"}
    return found

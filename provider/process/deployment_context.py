"""What all deployments of one provider have in common: its settings, its state folder, its host and its metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from springtide.provider.machine.log_files import LogWriter
from springtide.provider.machine.records import FunctionRecord
from springtide.provider.machine.replica_metrics import ReplicaMetrics
from springtide.provider.machine.start_limits import StartSlots
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.process import enclosed, launches
from springtide.provider.process.host_link import HostLink
from springtide.provider.process.host_protocol import Kill, Note, Spawn, Stop
from springtide.provider.process.launches import FunctionProgram
from springtide.provider.process.settings import ProcessSettings
from springtide.scaler.core.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentContext:
    """The verbs are commands to the host; none of them waits, and what comes of them comes as events."""

    settings: ProcessSettings
    clock: Clock
    files: StateFiles
    link: HostLink
    slots: StartSlots
    metrics: ReplicaMetrics

    def spawn(self, record: FunctionRecord, program: FunctionProgram, instance: str) -> None:
        path = program.env.get("PATH") or program.search_path(self.settings.path)
        settings = self.settings
        never: tuple[str | Path, ...] = (*settings.hidden, settings.state_dir, settings.home)
        shown = enclosed.shown(program, path, settings.visible, never)
        launch = launches.launch(record, program, instance, settings=settings, files=self.files, shown=shown)
        self.link.send(Spawn(launch))

    def stop(self, instance: str) -> None:
        """Drain, then end."""
        self.link.send(Stop(instance, self.settings.grace_s))

    def kill(self, instance: str, why: str) -> None:
        """End at once; its exit is told with this reason."""
        self.link.send(Kill(instance, why))

    def log_writer(self, record: FunctionRecord) -> Callable[[str, list[bytes]], None]:
        """For what its replicas write while no host takes it down: called with a replica's name and its lines."""
        folder, limit, clock = self.files.log(record), self.settings.log_limit_bytes, self.clock

        def write(instance: str, lines: list[bytes]) -> None:
            log = LogWriter(folder, limit)
            log.append(instance, lines, clock.wall())
            log.close()

        return write

    def note(self, record: FunctionRecord, instance: str, text: str) -> None:
        """A line of ours in the function's log."""
        folder = str(self.files.log(record))
        self.link.send(Note(folder, self.settings.log_limit_bytes, instance, f"springtide: {text}"))

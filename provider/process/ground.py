"""What all deployments of one provider stand on: its settings, its state folder and its host."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import Counter, Histogram

from provider.process import launches
from provider.process.host_link import HostLink
from provider.process.launches import Program
from provider.process.records import FunctionRecord
from provider.process.settings import ProcessSettings
from provider.process.start_slots import StartSlots
from provider.process.state_files import StateFiles
from provider.process.wire import Kill, Note, Spawn, Stop
from scaler.core.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The verbs are commands to the host; none of them waits, and what comes of them comes as events."""

    settings: ProcessSettings
    clock: Clock
    files: StateFiles
    link: HostLink
    slots: StartSlots
    starts: Histogram
    restarts: Counter
    out_of_memory: Counter

    def spawn(self, record: FunctionRecord, program: Program, instance: str) -> None:
        launch = launches.launch(record, program, instance, settings=self.settings, files=self.files)
        self.link.send(Spawn(launch))

    def stop(self, instance: str) -> None:
        """Drain, then end."""
        self.link.send(Stop(instance, self.settings.grace_s))

    def kill(self, instance: str, why: str) -> None:
        """End at once; its exit is told with this reason."""
        self.link.send(Kill(instance, why))

    def note(self, record: FunctionRecord, instance: str, text: str) -> None:
        """A line of ours in the function's log."""
        folder = str(self.files.log(record))
        self.link.send(Note(folder, self.settings.log_limit_bytes, instance, f"springtide: {text}"))

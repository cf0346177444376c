"""Starts containers by fork: a process that has the watchdog imported already, so that a start takes milliseconds.

Speaks on the socket it inherits as standard input: requests in, events out, one JSON document a datagram. A request to
start brings the descriptor that the container's output goes to.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
from typing import Any, NoReturn

from springtide.provider.process.host_protocol import IDENTITY_VARIABLE
from springtide.runtime.processes import adopt_orphans, die_with_parent
from springtide.watchdog import replica
from springtide.watchdog.start import Confinement, Inherited, Start

MAX_MESSAGE_BYTES = 1 << 20
OPEN_FILES, LINGER_S, GRACE_S = 1024, 0.25, 60.0


class ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._ids: dict[int, str] = {}

    def serve(self) -> None:
        """Until the other side closes."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(wake_read, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._control:
                        if not self._request():
                            return
                    else:
                        os.read(wake_read, 4096)
                self._reap()

    def _request(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, 1)
        if not data:
            return False
        request = json.loads(data)
        if request["do"] == "start":
            self._start(request, descriptors[0])
            os.close(descriptors[0])
        else:
            self._signal(request)
        return True

    def _start(self, request: dict[str, Any], output: int) -> None:
        try:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            if not request["command"]:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((request["host"], request["port"]))
            pid = os.fork()
        except OSError as error:
            self._tell({"id": request["id"], "event": "failed", "why": str(error)})
            return
        if pid == 0:
            self._become(request, listener.fileno(), output)
        listener.close()
        self._ids[pid] = request["id"]
        self._tell({"id": request["id"], "event": "started", "pid": pid})

    def _become(self, request: dict[str, Any], listener: int, output: int) -> NoReturn:
        if request["command"]:
            _execute(request, output)
        launch, ready = request["launch"], os.open(os.devnull, os.O_WRONLY)
        start = Start(
            instance=launch["instance"],
            env={**launch["env"], IDENTITY_VARIABLE: request["id"]},
            folder=launch["folder"],
            handler=launch.get("handler"),
            linger_s=launch.get("linger_s", LINGER_S),
            grace_s=launch.get("grace_s", GRACE_S),
            confinement=Confinement(
                secrets=launch["secrets_folder"] if launch["has_secrets"] or launch["read_only"] else "",
                stage=launch["stage_folder"],
                read_only=launch["read_only"],
                open_files=OPEN_FILES,
            ),
        )
        replica.run(start, Inherited(listener, ready, output), parent=os.getppid(), environ=os.environ)

    def _signal(self, request: dict[str, Any]) -> None:
        pid = next((pid for pid, known in self._ids.items() if known == request["id"]), None)
        if pid is None:
            return
        # The whole group at the end; before that the program itself decides about its children.
        send = os.killpg if request["signal"] == signal.SIGKILL else os.kill
        try:
            send(pid, request["signal"])
        except ProcessLookupError:
            # It has not made its group yet.
            os.kill(pid, request["signal"])

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            known = self._ids.pop(pid, None)
            if known is not None:
                self._tell({"id": known, "event": "ended", "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, event: dict[str, Any]) -> None:
        self._control.send(json.dumps(event).encode())


def _execute(request: dict[str, Any], output: int) -> NoReturn:
    """A program of its own in place of the watchdog."""
    try:
        os.setsid()
        die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.execvpe(request["command"][0], request["command"], request["launch"]["env"])  # noqa: S606 - its purpose
    except OSError as error:
        os.write(output, f"{request['command'][0]}: {error}\n".encode())
    finally:
        os._exit(127)


def main() -> None:
    die_with_parent()
    adopt_orphans()
    with socket.socket(fileno=os.dup(0)) as control:
        ForkServer(control).serve()


if __name__ == "__main__":
    main()

"""A real Podman for tests, one for all of a session's: from Debian, unpacked below .tools.

It runs in the network namespace of the tests that use it, which is never the machine's: bridges need firewall rules.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from springtide.cli.debian import fetch_debian
from springtide.provider.containers import image_archive, machine_image
from springtide.provider.containers.engine.client import Engine
from springtide.runtime.errors import SpringtideError
from tests.debian_programs import TOOLS, Program
from tests.free_ports import free_port
from tests.kubernetes.pod_network import namespace
from tests.kubernetes.pod_network.fixtures import why_not
from tests.server_process import ServerProcess
from tests.session_servers import for_the_session

IMAGE = "functions/alpine"
PROGRAMS = ("sh", "cat", "tee", "env", "sleep", "head", "ls", "id", "touch")
PIECE_BYTES = 64 << 10


def fetch() -> Path:
    """Once for each checkout. A network namespace of its own reaches no package server: call it before, outside."""
    return fetch_debian(TOOLS.resolve(), ["podman", "runc"], os.environ["PATH"], dependencies=True)


class PodmanServer:
    """The socket of the Docker API. Killed, its containers go on, as they do under systemd."""

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("the container engine of these tests runs as root")
        if not namespace.inside():
            pytest.skip(f"no network namespace for a container engine: {why_not() or 'not inside one'}")
        try:
            self.root = fetch()
        except SpringtideError as error:
            pytest.skip(f"Podman is not here: {error}")
        self.socket, self._folder = folder / "engine.sock", folder
        self.registry = f"127.0.0.1:{free_port()}"
        """Where a test may serve images over plain HTTP."""
        self.program = Program(self.root / "usr/bin/podman", self._environ())
        self._configure()
        words = ["--cgroup-manager=cgroupfs", "system", "service", "--time=0", f"unix://{self.socket}"]
        self.process = ServerProcess(self.program, words, folder, self._answers)

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.process.start()

    def kill(self) -> None:
        self.process.kill()

    def end(self) -> None:
        """With everything that it started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.run("rm", "--all", "--force", "--time=0", "--volumes")
        self.kill()
        for mount in reversed(_mounts_below(self._folder)):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)

    def run(self, *words: str) -> str:
        command = [str(self.program.path), "--cgroup-manager=cgroupfs", *words]
        done = subprocess.run(
            command, env=dict(self.program.environ), capture_output=True, text=True, timeout=120, check=False
        )
        return done.stdout + done.stderr

    def _environ(self) -> dict[str, str]:
        folder, root = self._folder, self.root
        libraries = next((root / "usr/lib").glob("*-linux-gnu*"))
        programs = (folder / "bin", root / "usr/sbin", root / "usr/bin")
        return {
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder),
            "LD_LIBRARY_PATH": str(libraries),
            "XTABLES_LIBDIR": str(libraries / "xtables"),
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        }

    def _configure(self) -> None:
        folder, root = self._folder, self.root
        (folder / "bin").mkdir()
        for tool in ("iptables", "ip6tables"):
            for name in (tool, f"{tool}-save", f"{tool}-restore"):
                (folder / "bin" / name).symlink_to(root / "usr/sbin/xtables-legacy-multi")
        (folder / "home/.config/containers").mkdir(parents=True)
        (folder / "home/.config/containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        plain = f'[[registry]]\nlocation = "{self.registry}"\ninsecure = true\n'
        (folder / "registries.conf").write_text(f'unqualified-search-registries = ["docker.io"]\n{plain}')
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
        )
        (folder / "containers.conf").write_text(
            textwrap.dedent(f"""\
            [containers]
            default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
            [engine]
            cgroup_manager = "cgroupfs"
            runtime = "runc"
            conmon_path = ["{root}/usr/bin/conmon"]
            helper_binaries_dir = ["{root}/usr/lib/podman"]
            events_logger = "file"
            lock_type = "file"
            tmp_dir = "{folder}/tmp"
            [engine.runtimes]
            runc = ["{root}/usr/sbin/runc"]
            [network]
            network_backend = "cni"
            cni_plugin_dirs = ["{root}/usr/lib/cni"]
            network_config_dir = "{folder}/net"
            """)
        )

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return True


class _Ended:
    """As a server of the session's."""

    def __init__(self, folder: Path) -> None:
        self.podman = PodmanServer(folder)

    def start(self) -> None:
        self.podman.start()

    def kill(self) -> None:
        self.podman.end()


@functools.cache
def podman_of_the_session() -> PodmanServer:
    return for_the_session("springtide-engine-", _Ended).podman


async def load_function_image(engine: Engine, name: str = f"{IMAGE}:latest") -> None:
    """An image as OpenFaaS's are: a watchdog at port 8080 that runs ``fprocess``. Loaded once."""
    if await engine.image(name) is None:
        layer, archive = io.BytesIO(), io.BytesIO()
        machine_image.write(machine_image.known(Path(sys.executable)), layer, PROGRAMS)
        runs = {"Cmd": ["/usr/bin/python3", "-m", "springtide.watchdog"], "WorkingDir": f"/{machine_image.OWN}"}
        image_archive.write(archive, name, [image_archive.layer_of(layer)], runs)
        await engine.load(_pieces(archive.getvalue()))


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), PIECE_BYTES):
        yield data[at : at + PIECE_BYTES]


def _mounts_below(folder: Path) -> list[str]:
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{folder}/")]


if __name__ == "__main__":
    try:
        sys.stdout.write(f"Podman: {fetch()}\n")
    except SpringtideError as error:
        sys.stdout.write(f"Podman is not here, tests of containers are skipped: {error}\n")

"""Where this machine's container engine listens."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from springtide.runtime.errors import BadInput, Unavailable

UNIX = "unix://"
USUAL = (Path("/var/run/docker.sock"), Path("/run/podman/podman.sock"))


def engine_socket(environ: Mapping[str, str], usual: Sequence[Path] = USUAL) -> Path:
    """That of ``DOCKER_HOST`` or ``CONTAINER_HOST``, else the first usual one that is there.

    Raises BadInput for an address that is no Unix socket, Unavailable when there is none.
    """
    for name in ("DOCKER_HOST", "CONTAINER_HOST"):
        if given := environ.get(name, ""):
            if not given.startswith(UNIX + "/"):
                raise BadInput(f"{name}={given!r}: functions run on this machine only; write unix:///path/to/the.sock")
            return Path(given.removeprefix(UNIX))
    looked = [*usual, *_of_the_user(environ)]
    for path in looked:
        if _is_socket(path):
            return path
    raise Unavailable(
        f"no container engine: none of {', '.join(map(str, looked))} is there; install Docker or Podman and start its "
        "socket (systemctl start podman.socket), or name it in DOCKER_HOST as unix:///path/to/the.sock"
    )


def _of_the_user(environ: Mapping[str, str]) -> Iterator[Path]:
    if folder := environ.get("XDG_RUNTIME_DIR", ""):
        yield Path(folder) / "docker.sock"
        yield Path(folder) / "podman/podman.sock"


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False

"""``python -m springtide.provider.process.host``: started by the provider, not by people."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from springtide.provider.process.host import startup
from springtide.provider.process.host.server import HostOptions


def main() -> None:
    parser = argparse.ArgumentParser(description="Forks and looks after the replicas of one state folder.")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--bind-host", required=True)
    parser.add_argument("--orphan-grace", type=float, required=True, metavar="SECONDS")
    parser.add_argument("--drain", type=float, required=True, metavar="SECONDS")
    parser.add_argument("--identity", required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--environment-idle", type=float, required=True, metavar="SECONDS")
    parser.add_argument("--walled", action="store_true")
    parser.add_argument("--hidden", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--closed-port", type=int, action="append", default=[], metavar="PORT")
    parser.add_argument("--beside", action="store_true")
    given = parser.parse_args()
    options = HostOptions(
        state_dir=given.state_dir,
        bind_host=given.bind_host,
        orphan_grace_s=given.orphan_grace,
        drain_s=given.drain,
        identity=given.identity,
        python=given.python,
        environment_idle_s=given.environment_idle,
        walled=given.walled,
        hidden=tuple(given.hidden),
        closed_ports=tuple(given.closed_port),
        beside=given.beside,
    )
    startup.run(options, os.environ)


if __name__ == "__main__":
    main()

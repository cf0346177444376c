"""``springtide doctor`` on this machine made poorer in one way: run as a program, for what is given up is gone."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Mapping

from springtide.cli import command_line
from springtide.watchdog import linux, seccomp

LANDLOCK = (444, 444)
FULL_BYTES = 1 << 20


def whole() -> None:
    """As it is."""


def without_namespaces() -> None:
    linux.gain_no_privileges()
    seccomp.lay_on()


def without_any_walls() -> None:
    seccomp._CALLS["landlock_create_ruleset"] = LANDLOCK
    without_namespaces()


def with_few_open_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def with_little_disk() -> None:
    """For the state folder, the last argument. Exit status 77 where nobody may mount."""
    user, group = os.geteuid(), os.getegid()
    try:
        linux.unshare(linux.CLONE_NEWNS | (linux.CLONE_NEWUSER if user else 0))
        if user:
            linux.stay_readable()
            for name, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{user} {user} 1"),
                ("gid_map", f"{group} {group} 1"),
            ):
                with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - no file to speak of
                    file.write(text)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        linux.mount("tmpfs", sys.argv[-1], kind="tmpfs", options=f"size={FULL_BYTES}")
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(77)


MACHINES: Mapping[str, Callable[[], None]] = {
    made.__name__: made
    for made in (whole, without_namespaces, without_any_walls, with_few_open_files, with_little_disk)
}

if __name__ == "__main__":
    MACHINES[sys.argv.pop(1)]()
    sys.exit(command_line.run(sys.argv[1:], environ=dict(os.environ)))

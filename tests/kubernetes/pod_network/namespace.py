"""A network namespace whose loopback device holds the addresses of all pods and services.

A network on a loopback device is local as a whole: any of its addresses can be bound without being added first.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from pathlib import Path

from springtide.watchdog import linux

CLONE_NEWNET = 0x4000_0000
PODS, SERVICES = "10.244.0.0/16", "10.96.0.0/12"
_FIRST_POD = "10.244.0.1"

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
_IFF_UP, _IFF_RUNNING = 0x1, 0x40


def inside() -> bool:
    """Whether pods have addresses here."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((_FIRST_POD, 0))
        except OSError:
            return False
    return True


def enter() -> None:
    """Move this process into a new one; it must have one thread only. Raises OSError where that is not allowed."""
    user, group = os.geteuid(), os.getegid()
    try:
        linux.unshare(CLONE_NEWNET)
    except PermissionError:
        linux.unshare(linux.CLONE_NEWUSER | CLONE_NEWNET)
        linux.stay_readable()
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _up(control, "lo")
        _add(control, "lo:1", PODS)
        _add(control, "lo:2", SERVICES)


def _up(control: socket.socket, device: str) -> None:
    request = struct.pack("16sH14x", device.encode(), 0)
    flags: int = struct.unpack("16sH14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
    fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", device.encode(), flags | _IFF_UP | _IFF_RUNNING))


def _add(control: socket.socket, alias: str, network: str) -> None:
    """The first address of the network, with the whole network as its mask."""
    base, _, bits = network.partition("/")
    first = socket.inet_ntoa((int.from_bytes(socket.inet_aton(base)) + 1).to_bytes(4))
    mask = socket.inet_ntoa(((0xFFFF_FFFF << (32 - int(bits))) & 0xFFFF_FFFF).to_bytes(4))
    for call, address in ((_SIOCSIFADDR, first), (_SIOCSIFNETMASK, mask)):
        fcntl.ioctl(control, call, _address_request(alias, address))


def _address_request(device: str, address: str) -> bytes:
    return struct.pack("16sHH4s8x", device.encode(), socket.AF_INET, 0, socket.inet_aton(address))

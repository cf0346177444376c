"""Bodies far larger than memory should ever be: sent and fetched through the gateway, with a reader that is slower."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h11

from bench.bodies import READ_BYTES, Pace, blocks, checksum
from bench.children import Child, child, free_port, python
from bench.gateway import gateway
from bench.report import Row

SAMPLE_S = 0.02
DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class Transfer:
    up: bool
    chunked: bool
    size: int

    def request(self) -> h11.Request:
        framing = ("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", str(self.size))
        headers = [("Host", "bench"), *([framing] if self.up else [])]
        target = f"/function/echo/{self.size}/{'chunked' if self.chunked else 'length'}"
        return h11.Request(method="POST" if self.up else "GET", target=target, headers=headers)


def streaming(folder: Path, *, size: int) -> Iterator[Row]:
    """Each way with a length and in chunks; what the gateway's memory grew by meanwhile, at most."""
    port = free_port()
    backend = python("bench.streaming_backend", str(port))
    with (
        child("backend", backend, port=port, log=folder / "backend.log"),
        gateway(folder / "streaming", port, upstream_timeout_s=DEADLINE_S) as ours,
    ):
        expected = checksum(size)
        for small in (Transfer(up, chunked, 1 << 20) for up in (True, False) for chunked in (True, False)):
            transfer(ours.port, small)  # warm
        for one in (Transfer(up, chunked, size) for up in (True, False) for chunked in (False, True)):
            idle = ours.process.resident_bytes()
            with watched(ours.process) as seen:
                began = time.monotonic()
                arrived, found = transfer(ours.port, one)
                seconds = time.monotonic() - began
            yield {
                "direction": "up" if one.up else "down",
                "framing": "chunked" if one.chunked else "length",
                "gib": size / 2**30,
                "intact": arrived == size and found == expected,
                "mib_per_s": size / 2**20 / seconds,
                "idle_mib": idle / 2**20,
                "peak_mib": seen.peak / 2**20,
                "grown_mib": (seen.peak - idle) / 2**20,
                "samples": seen.samples,
            }


@dataclass(slots=True)
class Seen:
    peak: int = 0
    samples: int = 0


@contextlib.contextmanager
def watched(process: Child) -> Iterator[Seen]:
    """The most memory in use during the block: the kernel's own mark, and samples in case it keeps none."""
    seen, over = Seen(), threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE_S):
            seen.peak = max(seen.peak, process.resident_bytes())
            seen.samples += 1

    reset_mark = Path(f"/proc/{process.pid}/clear_refs")
    with contextlib.suppress(OSError):
        reset_mark.write_text("5")
    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
    status = Path(f"/proc/{process.pid}/status").read_text()
    seen.peak = max(seen.peak, int(status.partition("\nVmHWM:")[2].split()[0]) * 1024)


def transfer(port: int, wanted: Transfer) -> tuple[int, int]:
    """Length and checksum of what arrived on the other side, or on ours."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as connection:
        client = h11.Connection(h11.CLIENT)
        connection.sendall(client.send(wanted.request()) or b"")
        if wanted.up:
            for block in blocks(wanted.size):
                connection.sendall(client.send(h11.Data(block)) or b"")
        connection.sendall(client.send(h11.EndOfMessage()) or b"")
        if wanted.up:
            told = json.loads(b"".join(_answer(client, connection)))
            return told["length"], told["checksum"]
        length, found, pace = 0, 0, Pace(wanted.size)
        for data in _answer(client, connection):
            length, found = length + len(data), zlib.crc32(data, found)
            pace.read(length)
        return length, found


def _answer(client: h11.Connection, connection: socket.socket) -> Iterator[bytes]:
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(connection.recv(READ_BYTES))
        elif isinstance(event, h11.Response):
            if event.status_code != 200:
                raise RuntimeError(f"status {event.status_code} in the middle of streaming")
        elif isinstance(event, h11.Data):
            yield bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return
        else:
            raise RuntimeError("the connection ended in the middle of streaming")

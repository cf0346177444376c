"""Callers that arrive together: each opens a connection, sends one request and waits for its answer."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from dataclasses import dataclass, field

REQUEST = b"GET /function/echo HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
DEADLINE_S = 60.0


@dataclass(slots=True)
class Answers:
    """Each caller's whole time in seconds, from before its connection to the last byte; and what went wrong."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Herd:
    """``callers`` connections in one thread. ``send`` starts them all; ``answers`` waits for them."""

    def __init__(self, port: int, callers: int) -> None:
        self._port, self._callers = port, callers
        self._open: dict[int, tuple[socket.socket, float, bytearray]] = {}
        self._poll = select.epoll()

    def send(self) -> None:
        for _ in range(self._callers):
            connection = socket.socket()
            connection.settimeout(0)
            began = time.perf_counter()
            with contextlib.suppress(BlockingIOError):
                connection.connect(("127.0.0.1", self._port))
            self._open[connection.fileno()] = (connection, began, bytearray())
            self._poll.register(connection.fileno(), select.EPOLLOUT)

    def wait_sent(self) -> None:
        """Return once every request has been handed to the kernel."""
        waiting = len(self._open)
        while waiting:
            for number, _ in self._poll.poll(DEADLINE_S):
                self._send_one(number)
                waiting -= 1

    def answers(self) -> Answers:
        answers = Answers()
        deadline = time.perf_counter() + DEADLINE_S
        while self._open and time.perf_counter() < deadline:
            for number, events in self._poll.poll(1.0):
                if events & select.EPOLLOUT:
                    self._send_one(number)
                else:
                    self._receive_one(number, answers)
        answers.failures += ["no answer"] * len(self._open)
        for connection, _, _ in self._open.values():
            connection.close()
        self._open.clear()
        return answers

    def _send_one(self, number: int) -> None:
        self._open[number][0].send(REQUEST)
        self._poll.modify(number, select.EPOLLIN)

    def _receive_one(self, number: int, answers: Answers) -> None:
        connection, began, received = self._open[number]
        try:
            data = connection.recv(65536)
        except OSError as error:
            data = str(error).encode()
        received += data
        if data:
            return
        status = bytes(received[:12])
        if status == b"HTTP/1.1 200":
            answers.seconds.append(time.perf_counter() - began)
        else:
            answers.failures.append(status.decode("latin-1"))
        del self._open[number]
        connection.close()


def percentile(values: list[float], fraction: float) -> float:
    """The value that this fraction of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]

"""A function that checks what it is sent and sends what can be checked; each connection in a thread."""

from __future__ import annotations

import json
import socketserver
import sys
import zlib

import h11

from bench.bodies import READ_BYTES, Pace, blocks


class Handler(socketserver.BaseRequestHandler):
    """``/SIZE/length`` or ``/SIZE/chunked``: POST is told what arrived, GET is sent SIZE bytes."""

    def handle(self) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(self.request.recv(READ_BYTES))
            elif isinstance(event, h11.Request):
                self._answer(connection, event)
                connection.start_next_cycle()
            else:
                return

    def _answer(self, connection: h11.Connection, request: h11.Request) -> None:
        _, size, framing = request.target.decode().split("/")
        told = self._read(connection, Pace(int(size)))
        if request.method == b"POST":
            body, length = iter([told]), len(told)
        else:
            body, length = blocks(int(size)), int(size)
        header = ("Transfer-Encoding", "chunked") if framing == "chunked" else ("Content-Length", str(length))
        self._send(connection, h11.Response(status_code=200, headers=[header]))
        for block in body:
            self._send(connection, h11.Data(block))
        self._send(connection, h11.EndOfMessage())

    def _read(self, connection: h11.Connection, pace: Pace) -> bytes:
        length, found = 0, 0
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(self.request.recv(READ_BYTES))
            elif isinstance(event, h11.Data):
                length, found = length + len(event.data), zlib.crc32(event.data, found)
                pace.read(length)
            else:
                raise RuntimeError("the request ended in the middle of its body")
        return json.dumps({"length": length, "checksum": found}).encode()

    def _send(self, connection: h11.Connection, event: h11.Event) -> None:
        self.request.sendall(connection.send(event) or b"")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    with Server(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        server.serve_forever()

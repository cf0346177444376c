"""A container's output as the engine sends it: frames of eight bytes of head, which name the stream and the length."""

from __future__ import annotations

HEAD_BYTES = 8
MAX_FRAME_BYTES = 4 << 20
"""Docker cuts lines at 16 KiB, Podman sends them whole."""


class FrameReader:
    """Cuts frames out of what arrives; of both streams, in the order in which they came."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The contents of every frame that is whole now. Raises ValueError for what are no frames."""
        self._rest += data
        frames: list[bytes] = []
        while len(self._rest) >= HEAD_BYTES:
            stream, length = self._rest[0], int.from_bytes(self._rest[4:HEAD_BYTES])
            if stream > 3 or length > MAX_FRAME_BYTES:
                raise ValueError("not a container's output")
            if len(self._rest) < HEAD_BYTES + length:
                break
            frames.append(self._rest[HEAD_BYTES : HEAD_BYTES + length])
            self._rest = self._rest[HEAD_BYTES + length :]
        return frames

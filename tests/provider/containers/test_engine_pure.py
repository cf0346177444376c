from __future__ import annotations

import socket
from pathlib import Path

import pytest

from springtide.provider.containers.engine import socket_path
from springtide.provider.containers.engine.log_frames import FrameReader
from springtide.runtime.errors import BadInput, Unavailable


def frame(text: bytes, stream: int = 1) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4) + text


def test_frames_are_cut_wherever_the_pieces_end() -> None:
    data = frame(b"one\n") + frame(b"two\n", 2) + frame(b"")
    for size in range(1, len(data)):
        reader = FrameReader()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]

        assert [found for piece in pieces for found in reader.feed(piece)] == [b"one\n", b"two\n", b""]


@pytest.mark.parametrize("data", [b"HTTP/1.1 200", frame(b"", 9), bytes([1, 0, 0, 0]) + b"\xff" * 4])
def test_what_are_no_frames_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a container's output"):
        FrameReader().feed(data)


def test_socket_is_the_one_that_is_named(tmp_path: Path) -> None:
    assert socket_path.engine_socket({"DOCKER_HOST": f"unix://{tmp_path}/a.sock"}) == tmp_path / "a.sock"
    assert socket_path.engine_socket({"CONTAINER_HOST": f"unix://{tmp_path}/b.sock"}) == tmp_path / "b.sock"


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:2375", "ssh://host", "unix://relative.sock"])
def test_engine_of_another_machine_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match="this machine"):
        socket_path.engine_socket({"DOCKER_HOST": address})


def test_socket_is_found_where_it_usually_is(tmp_path: Path) -> None:
    usual = (tmp_path / "none.sock", tmp_path / "engine.sock")
    with pytest.raises(Unavailable, match="DOCKER_HOST"):
        socket_path.engine_socket({}, usual)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "engine.sock"))
        assert socket_path.engine_socket({}, usual) == tmp_path / "engine.sock"

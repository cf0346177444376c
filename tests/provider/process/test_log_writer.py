"""A function's log on a disk that does not take it."""

from pathlib import Path

from springtide.provider.machine.log_files import LogWriter


def test_log_that_cannot_be_opened_keeps_no_function_and_is_written_once_it_can(tmp_path: Path) -> None:
    (tmp_path / "echo").write_text("a file where the folder should be")
    writer = LogWriter(tmp_path / "echo", 1000)
    writer.append("echo-1", [b"lost"], 1.0)
    (tmp_path / "echo").unlink()

    writer.append("echo-1", [b"kept"], 2.0)
    writer.close()

    assert (tmp_path / "echo" / "current.log").read_text() == "2.000000 echo-1 kept\n"

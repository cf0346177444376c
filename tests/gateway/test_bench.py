"""What the figures are made of: wrk's words, percentiles, tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from bench import load, report
from bench.children import Child
from bench.herd import percentile

WRK = """Running 6s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Latency Distribution
     50%    1.49ms
     99%  530.00us
  118350 requests in 6.00s, 27.20MB read
  Socket errors: connect 0, read 1, write 0, timeout 2
  Non-2xx or 3xx responses: 4
Requests/sec:  19725.00
"""


def test_wrk_is_understood() -> None:
    assert load._found(r"(\d+) requests in", WRK) == "118350"
    assert load._latency_ms("50%", WRK) == 1.49
    assert load._latency_ms("99%", WRK) == pytest.approx(0.53)
    assert load._errors(WRK) == 7


def test_wrk_that_says_something_else_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="wrk said nothing"):
        load._found(r"(\d+) requests in", "unable to connect")


def test_every_process_below_the_measured_one_is_counted() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        measured = Child(process.pid, "shell")
        try:
            _, below = measured.tree()
            assert Path(f"/proc/{below}/comm").read_text() in ("sh\n", "sleep\n")
            assert set(measured.proportional_bytes()) == {process.pid, below}
            assert measured.resident_bytes() > 0
        finally:
            for pid in reversed(measured.tree()):
                os.kill(pid, signal.SIGKILL)


def test_percentiles() -> None:
    values = [float(value) for value in range(1, 101)]

    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([3.0], 0.99) == 3.0


def test_table_lines_up() -> None:
    shown = report.table([{"what": "nginx", "cpu": 16.4}, {"what": "us", "cpu": 132.7}])

    assert shown.splitlines() == ["what     cpu", "nginx  16.40", "us       133"]
    assert report.table([]) == ""


def test_results_are_kept_with_date_and_machine_and_never_overwritten(tmp_path: Path) -> None:
    first = report.save(tmp_path, {"held": [{"callers": 1}]}, quick=False)
    second = report.save(tmp_path, {}, quick=False)

    assert first != second
    kept = json.loads(first.read_text())
    assert kept["held"] == [{"callers": 1}]
    assert kept["machine"]["processors"] >= 1

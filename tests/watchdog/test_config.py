"""The watchdog's settings as it reads them from a function's environment."""

from __future__ import annotations

import pytest

from springtide.watchdog import config
from springtide.watchdog.config import Mode


@pytest.mark.parametrize(
    ("env", "handler", "mode"),
    [
        pytest.param({"fprocess": "cat"}, None, Mode.CLASSIC, id="a command"),
        pytest.param({}, "/h", Mode.PYTHON, id="a handler"),
        pytest.param({"fprocess": "python index.py"}, "/h", Mode.PYTHON, id="a handler and its template's command"),
        pytest.param({"fprocess": "x", "mode": "http"}, "/h", Mode.HTTP, id="the variable has the last word"),
    ],
)
def test_mode(env: dict[str, str], handler: str | None, mode: Mode) -> None:
    settings, problems = config.read(env, handler)

    assert (settings.mode, problems) == (mode, ())


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        pytest.param({"fprocess": "x"}, (5.0, 5.0, 0.0), id="classic"),
        pytest.param({"fprocess": "x", "mode": "http"}, (30.0, 30.0, 30.0), id="the newer modes"),
        pytest.param({"fprocess": "x", "exec_timeout": "1m5s", "read_timeout": "2"}, (2.0, 5.0, 65.0), id="set"),
    ],
)
def test_time_limits(env: dict[str, str], expected: tuple[float, float, float]) -> None:
    settings, _ = config.read(env)

    assert (settings.read_timeout_s, settings.write_timeout_s, settings.exec_timeout_s) == expected


def test_command_is_split_as_a_shell_does_it() -> None:
    assert config.read({"fprocess": "sh -c 'a b' \"c d\""})[0].command == ("sh", "-c", "a b", "c d")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_inflight", "1000001"),
        ("max_inflight", "9" * 5000),
        ("read_timeout", "9" * 400),
        ("exec_timeout", "9999999h"),
        ("content_type", "text/plain\r\nX-Injected: 1"),
        ("content_type", "text/ü"),
        ("healthcheck_interval", "99999999999h"),
        ("healthcheck_interval", "often"),
        ("log_buffer_size", "1e400"),
        ("log_buffer_size", "9" * 5000),
        ("log_buffer_size", "-2"),
        ("port", "99999999"),
        ("port", "http"),
        ("prefix_logs", "perhaps"),
        ("prefix_logs", "9" * 5000),
        ("max_inflight", "٣"),
        ("suppress_lock", "2"),
        ("log_callid", "?"),
        ("ready_path", "ready"),
        ("ready_path", "/a b"),
        ("ready_path", "/ü"),
    ],
)
def test_value_out_of_bounds_is_told_and_not_taken(name: str, text: str) -> None:
    settings, problems = config.read({"fprocess": "x", name: text})

    (problem,) = problems
    assert problem.startswith(f"{name}=")
    assert len(problem) < 400
    assert settings == config.read({"fprocess": "x"})[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [("healthcheck_interval", "10s"), ("log_buffer_size", "65536"), ("log_buffer_size", "-1"), ("port", "8080")],
)
def test_value_that_is_not_used_may_stay(name: str, text: str) -> None:
    assert config.read({"fprocess": "x", name: text})[1] == ()

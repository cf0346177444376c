"""Which gateway the command line talks to, with which credentials, and logging in."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from springtide.cli.faas_cli_config import LoginFile
from springtide.cli.state import Running, StateFolder
from springtide.cli.target import DEFAULT_GATEWAY, Target
from springtide.runtime.basic_auth import Credentials

FLAG, STACK, VARIABLE, LOCAL = "http://flag:1", "http://stack:2", "http://variable:3", "http://127.0.0.1:4"


def running(gateway: str) -> Running:
    return Running(pid=os.getpid(), gateway=gateway, metrics="m", provider="p", alert_receiver="a")


@pytest.mark.parametrize(
    ("flag", "stack", "variable", "local", "chosen"),
    [
        pytest.param(FLAG, STACK, VARIABLE, True, FLAG, id="flag"),
        pytest.param(None, STACK, VARIABLE, True, STACK, id="stack file"),
        pytest.param(None, None, VARIABLE, True, VARIABLE, id="environment"),
        pytest.param(None, DEFAULT_GATEWAY, VARIABLE, True, VARIABLE, id="environment over the file's default"),
        pytest.param(None, DEFAULT_GATEWAY, None, True, LOCAL, id="local suite over the file's default"),
        pytest.param(None, "HTTP://127.0.0.1:8080/", VARIABLE, False, VARIABLE, id="default in another spelling"),
        pytest.param(None, "127.0.0.1:8080", None, True, LOCAL, id="default without scheme"),
        pytest.param(None, DEFAULT_GATEWAY, None, False, DEFAULT_GATEWAY, id="the file's default"),
        pytest.param(DEFAULT_GATEWAY, STACK, VARIABLE, True, DEFAULT_GATEWAY, id="default as flag"),
        pytest.param(None, STACK, DEFAULT_GATEWAY, True, STACK, id="stack file over a default in the environment"),
        pytest.param(None, "http://127.0.0.1:8081", VARIABLE, True, "http://127.0.0.1:8081", id="another port"),
        pytest.param(None, None, None, True, LOCAL, id="local suite"),
        pytest.param(None, None, None, False, DEFAULT_GATEWAY, id="default"),
        pytest.param("gateway.example:8080/", None, None, False, "http://gateway.example:8080", id="without scheme"),
    ],
)
def test_gateway_is_the_first_one_said(
    tmp_path: Path, flag: str | None, stack: str | None, variable: str | None, local: bool, chosen: str
) -> None:
    state = StateFolder(tmp_path / "state")
    target = Target(flag, {"OPENFAAS_URL": variable} if variable else {}, state)

    with state.held():
        if local:
            state.announce(running(LOCAL))
        assert target.gateway(stack) == chosen


def test_a_suite_whose_folder_was_named_is_meant_and_no_other(terminal: Any, tmp_path: Path) -> None:
    """Whatever listens at the usual port, or once did, is another one."""
    folder = tmp_path / "elsewhere"
    told = f"springtide: no suite runs in {folder}; start it with: springtide up --state-dir {folder}, or "
    outcome = terminal("jobs", "list", "--state-dir", str(folder))
    assert (outcome.status, outcome.err.startswith(told)) == (1, True)
    terminal.environ["SPRINGTIDE_STATE_DIR"] = str(folder)
    outcome = terminal("jobs", "list")
    assert (outcome.status, outcome.err.startswith(told)) == (1, True)
    assert "127.0.0.1:1;" in terminal("jobs", "list", "-g", "http://127.0.0.1:1").err


def test_local_suites_credentials_win_over_an_old_log_in(tmp_path: Path) -> None:
    state, environ = StateFolder(tmp_path / "state"), {"HOME": str(tmp_path)}
    LoginFile.default(environ).remember(LOCAL, Credentials("old", "log-in"))
    target = Target(None, environ, state)

    with state.held():
        own = state.credentials()
        state.announce(running(LOCAL))

        assert target.credentials(LOCAL) == own
        assert target.credentials("http://localhost:4/") == own
        assert target.credentials("http://127.0.0.1:5") is None
    assert target.credentials(LOCAL) == Credentials("old", "log-in")


def test_log_in_is_checked_and_remembered_for_faas_cli(terminal: Any, api: Any) -> None:
    refused = terminal("login", "-g", api.url, "--password", "wrong")
    accepted = terminal("login", "-g", api.url, "-u", "admin", "--password-stdin", piped=b"s3cret\n")

    file = terminal.home / ".openfaas" / "config.yml"
    assert refused.status == 1
    assert "does not accept these credentials" in refused.err
    assert accepted.status == 0, accepted.err
    assert accepted.out == f"Logged in to {api.url} as admin; remembered in {file}.\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert terminal("list", "-g", api.url).status == 0


def test_without_a_log_in_the_remedy_is_named(terminal: Any, api: Any) -> None:
    outcome = terminal("list", "-g", api.url)

    assert outcome.status == 1
    assert outcome.err == (
        f"springtide: {api.url} does not accept these credentials; run: springtide login -g {api.url}\n"
    )


def test_password_that_nobody_gave_is_asked_for_by_name(terminal: Any, api: Any) -> None:
    outcome = terminal("login", "-g", api.url)

    assert (outcome.status, outcome.err) == (1, "springtide: give the password with --password-stdin\n")


def test_invocations_carry_no_credentials(springtide: Any) -> None:
    springtide("deploy", "echo", "--fprocess", "cat")

    assert "Basic" not in springtide("invoke", "echo", "--data", "x").out

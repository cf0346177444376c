from __future__ import annotations

import asyncio
import base64
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.runtime.asgi import Receive, Scope, Send
from springtide.runtime.basic_auth import Credentials, RequireBasicAuth
from springtide.runtime.errors import BadInput

CREDENTIALS = Credentials("admin", "pass:word")
GOOD = CREDENTIALS.header.encode()


def encoded(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    "header", [GOOD, GOOD.replace(b"Basic", b"basic"), GOOD + b" "], ids=["as sent", "lower case", "trailing space"]
)
def test_right_credentials_are_accepted(header: bytes) -> None:
    assert CREDENTIALS.accepts(header)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"Basic", id="no token"),
        pytest.param(encoded("admin:wrong"), id="wrong password"),
        pytest.param(encoded("root:pass:word"), id="wrong user"),
        pytest.param(encoded("admin:pass"), id="part of the password"),
        pytest.param(encoded("admin:pass:wordy"), id="more than the password"),
        pytest.param(GOOD.replace(b"Basic", b"Bearer"), id="another scheme"),
        pytest.param(b"Basic !!!", id="not base 64"),
        pytest.param(b"Basic \xff\xfe", id="not text"),
        pytest.param(GOOD[:-3], id="base 64 cut off"),
    ],
)
def test_anything_else_is_not(header: bytes) -> None:
    assert not CREDENTIALS.accepts(header)


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda user: ":" not in user), st.text(min_size=1))
def test_own_header_is_accepted_and_the_password_does_not_show(user: str, password: str) -> None:
    credentials = Credentials(user, password)

    assert credentials.accepts(credentials.header.encode())
    assert repr(credentials) == f"Credentials(user={user!r})"


@settings(deadline=None)
@given(st.sampled_from([b"", b"Basic ", b"basic "]), st.binary(max_size=40))
def test_no_header_makes_it_stumble(scheme: bytes, rest: bytes) -> None:
    assert not CREDENTIALS.accepts(scheme + rest)


def test_credentials_come_from_the_two_files(tmp_path: Path) -> None:
    (tmp_path / "basic-auth-user").write_text("admin\n")
    (tmp_path / "basic-auth-password").write_text("  pass:word \n")

    assert Credentials.from_folder(tmp_path) == CREDENTIALS


def test_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "basic-auth-user").write_text("admin")

    with pytest.raises(BadInput, match="basic-auth-password: No such file or directory; the folder must hold"):
        Credentials.from_folder(tmp_path)


def test_empty_password_is_refused(tmp_path: Path) -> None:
    (tmp_path / "basic-auth-user").write_text("admin")
    (tmp_path / "basic-auth-password").write_text("\n")

    with pytest.raises(BadInput, match="must not be empty"):
        Credentials.from_folder(tmp_path)


def ask(
    path: str,
    *authorization: bytes,
    kind: str = "http",
    credentials: Credentials | None = CREDENTIALS,
    guarded: list[str] | None = None,
) -> str:
    """What becomes of a request: ``let in``, the status, or the type of another refusal."""
    seen: list[str] = []

    async def inner(_scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append("let in")

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] != "http.response.body":
            seen.append(str(message.get("status", message["type"])))

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing is read of what is refused")

    app = RequireBasicAuth(inner, credentials=credentials, open_paths=["/", "/healthz", "/function/"], guarded=guarded)
    headers = [(b"authorization", value) for value in authorization]
    asyncio.run(app({"type": kind, "path": path, "headers": headers}, receive, send))
    return " ".join(seen)


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        pytest.param("/", "let in", id="an open path"),
        pytest.param("/healthz", "let in", id="another open path"),
        pytest.param("/function/echo", "let in", id="below an open prefix"),
        pytest.param("/function", "401", id="the prefix without its slash"),
        pytest.param("/healthz/x", "401", id="below a path that is open itself"),
        pytest.param("/healthz/", "401", id="an open path with a slash"),
        pytest.param("/HEALTHZ", "401", id="an open path in capitals"),
        pytest.param("/x", "401", id="the root opens nothing but itself"),
        pytest.param("", "401", id="no path"),
        pytest.param("//healthz", "401", id="a doubled slash"),
        pytest.param("/system/functions", "401", id="what nobody listed"),
    ],
)
def test_without_credentials_only_what_is_listed_is_open(path: str, outcome: str) -> None:
    assert ask(path) == outcome


@pytest.mark.parametrize(
    ("authorization", "outcome"),
    [
        pytest.param([GOOD], "let in", id="right"),
        pytest.param([encoded("admin:wrong")], "401", id="wrong"),
        pytest.param([GOOD, GOOD], "401", id="two headers"),
        pytest.param([encoded("x:y"), GOOD], "401", id="a wrong and a right one"),
    ],
)
def test_credentials_decide_about_the_rest(authorization: list[bytes], outcome: str) -> None:
    assert ask("/system/functions", *authorization) == outcome


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        pytest.param("/system", "401", id="the folder itself"),
        pytest.param("/system/none", "401", id="below it, whether there is such a route or not"),
        pytest.param("/systems", "let in", id="a longer name"),
        pytest.param("/other", "let in", id="elsewhere"),
    ],
)
def test_guarded_folders_leave_the_rest_open(path: str, outcome: str) -> None:
    assert ask(path, guarded=["/system"]) == outcome


def test_a_websocket_is_denied_like_anything_else() -> None:
    assert ask("/system/x", kind="websocket") == "websocket.close"
    assert ask("/system/x", GOOD, kind="websocket") == "let in"


def test_start_and_end_of_the_application_pass() -> None:
    assert ask("", kind="lifespan") == "let in"


def test_without_credentials_configured_everything_is_open() -> None:
    assert ask("/system/functions", credentials=None) == "let in"


def test_password_that_is_no_text_is_told_without_it(tmp_path: Path) -> None:
    (tmp_path / "basic-auth-user").write_text("admin")
    (tmp_path / "basic-auth-password").write_bytes(b"\xffhunter2")

    with pytest.raises(BadInput, match="must be text") as refused:
        Credentials.from_folder(tmp_path)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None

"""The state folder: one suite at a time, credentials made once, and nothing believed that a killed suite left."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from springtide.cli.state import Running, StateFolder
from springtide.runtime.errors import BadInput, Unavailable

RUNNING = Running(
    pid=1,
    gateway="http://127.0.0.1:8080",
    metrics="http://127.0.0.1:8082",
    provider="http://127.0.0.1:8081",
    alert_receiver="http://127.0.0.1:8083",
    parts={"gateway": 2},
)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        pytest.param({"HOME": "/h", "SPRINGTIDE_STATE_DIR": "/s", "XDG_STATE_HOME": "/x"}, "/s", id="our own variable"),
        pytest.param({"HOME": "/h", "XDG_STATE_HOME": "/x"}, "/x/springtide", id="the desktop's variable"),
        pytest.param({"HOME": "/h", "XDG_STATE_HOME": ""}, "/h/.local/state/springtide", id="below the home folder"),
    ],
)
def test_default_folder_follows_the_environment(environ: dict[str, str], folder: str) -> None:
    assert StateFolder.default(environ).root == Path(folder)


def test_credentials_are_made_once_and_are_the_owners_only(state: StateFolder) -> None:
    with state.held():
        first, second = state.credentials(), state.credentials()

    assert first == second
    assert first.user == "admin"
    assert len(first.password) == 32
    for file in state.secrets.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o700


def test_credentials_interrupted_half_way_are_completed(state: StateFolder) -> None:
    with state.held():
        password = state.credentials().password
        (state.secrets / "basic-auth-user").unlink()

        assert state.credentials().password == password


def test_empty_password_file_is_one_sentence(state: StateFolder) -> None:
    with state.held():
        state.credentials()
        (state.secrets / "basic-auth-password").write_text("\n")

        with pytest.raises(BadInput, match="must not be empty"):
            state.credentials()


def test_second_suite_on_the_folder_is_refused(state: StateFolder) -> None:
    with (
        state.held(),
        pytest.raises(Unavailable, match=r"a suite already runs on .*/state; stop it, or choose another --state-dir"),
        state.held(),
    ):
        pass


def test_folder_can_be_held_again_after_its_suite_ended(state: StateFolder) -> None:
    with state.held():
        pass
    with state.held():
        pass


def test_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BadInput, match="choose another --state-dir"), StateFolder(tmp_path / "file").held():
        pass


def test_running_suite_is_found(state: StateFolder) -> None:
    with state.held():
        state.announce(RUNNING)

        assert state.running() == RUNNING


def test_file_of_a_killed_suite_counts_for_nothing(state: StateFolder) -> None:
    with state.held():
        state.announce(RUNNING)

    assert state.run_file.exists()
    assert state.running() is None


def test_suite_that_is_still_starting_is_not_running_yet(state: StateFolder) -> None:
    with state.held():
        assert state.running() is None


@pytest.mark.parametrize(
    "content", [pytest.param(b"{", id="not JSON"), pytest.param(b'{"pid": 1}', id="another version's")]
)
def test_broken_run_file_is_one_sentence(state: StateFolder, content: bytes) -> None:
    with state.held():
        state.run_file.write_bytes(content)

        with pytest.raises(BadInput, match=r"run\.json: (not|damaged)"):
            state.running()


def test_no_suite_ever_ran_here(state: StateFolder) -> None:
    assert state.running() is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\n", id="blank"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"a\nb", id="two lines"),
        pytest.param(bytes(32), id="zeros, as a crash leaves them"),
    ],
)
def test_damaged_password_is_set_aside_and_made_anew(state: StateFolder, content: bytes) -> None:
    with state.held():
        state.credentials()
        (state.secrets / "basic-auth-password").write_bytes(content)

        (told,) = state.mend_files(1_700_000_000.0)

        assert len(state.credentials().password) == 32
        assert state.mend_files(1_700_000_000.0) == []
    assert (state.secrets / "basic-auth-password.damaged-20231114T221320Z").read_bytes() == content
    assert told.endswith("log in again")


def test_secret_that_signs_builds_is_made_anew_where_it_is_empty_and_may_be_any_bytes(state: StateFolder) -> None:
    with state.held():
        state.credentials()
        assert len(state.payload_secret.read_text()) == 32
        state.payload_secret.write_bytes(b"\xff\xfe")
        assert state.mend_files(1_700_000_000.0) == []
        state.payload_secret.write_bytes(b" \n")

        (told,) = state.mend_files(1_700_000_000.0)
        state.credentials()

        assert len(state.payload_secret.read_text()) == 32
    assert told.endswith("payload-secret.damaged-20231114T221320Z; there is a new one: sign builds with that")


def test_user_with_a_colon_cannot_log_in_and_is_made_anew(state: StateFolder) -> None:
    with state.held():
        state.credentials()
        (state.secrets / "basic-auth-user").write_text("ad:min")

        assert len(state.mend_files(1_700_000_000.0)) == 1
        assert state.credentials().user == "admin"


def test_memory_of_alerts_that_is_no_file_is_set_aside(state: StateFolder) -> None:
    with state.held():
        state.credentials()
        state.alert_receiver_file.mkdir()

        (told,) = state.mend_files(1_700_000_000.0)

    assert told.endswith("was no file and is set aside as alert-receiver.json.damaged-20231114T221320Z")


def test_what_is_in_the_place_of_a_folder_is_set_aside_and_told(state: StateFolder) -> None:
    state.root.mkdir(parents=True)
    (state.root / "secrets").write_text("no folder")
    with state.held() as told:
        assert state.credentials().user == "admin"
    assert "secrets was no folder and is set aside as secrets.damaged-" in told[0]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
@pytest.mark.parametrize("name", ["lock", "logs/gateway.log", "run.json"])
def test_what_is_no_file_in_the_place_of_one_is_set_aside(
    state: StateFolder, name: str, make: Callable[[Path], None]
) -> None:
    (state.root / "logs").mkdir(parents=True)
    make(state.root / name)
    assert state.running() is None
    with state.held() as told:
        (sentence,) = [*told, *state.mend_files(1_700_000_000.0)]
        state.announce(RUNNING)
        assert state.running() == RUNNING

    assert f"{name} was no file and is set aside as {Path(name).name}.damaged-" in sentence
    assert [str(path.relative_to(state.root)).partition(".damaged")[0] for path in state.set_aside()] == [name]
    with state.held() as told:
        assert told == []


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "alerting", "nats", "provider", "logs", "secrets"])
def test_what_is_no_folder_in_the_place_of_one_is_set_aside(state: StateFolder, name: str) -> None:
    state.root.mkdir(parents=True)
    (state.root / name).symlink_to("nowhere")
    with state.held() as told:
        assert not (state.root / name).is_symlink()

    assert [sentence.partition(" as ")[0] for sentence in told] == [
        f"{state.root / name} was no folder and is set aside"
    ]


def test_records_of_functions_are_told_with_the_functions(state: StateFolder) -> None:
    for folder in (state.provider, state.containers):
        (folder / "functions").mkdir(parents=True)
        for name in ("functions/a.damaged-1", "decisions.damaged-1"):
            (folder / name).touch()

    assert [path.name for path in state.set_aside()] == ["decisions.damaged-1"] * 2


def test_run_file_that_is_damaged_is_known_from_a_whole_one(state: StateFolder) -> None:
    with state.held():
        state.announce(RUNNING)
        assert state.announces(RUNNING)
        state.run_file.write_text("{")

        assert not state.announces(RUNNING)
        with pytest.raises(BadInput, match="try again"):
            state.running()

"""``springtide webhook test``: samples that are signed as senders sign, and what their answers say."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from springtide.cli.state import Running, StateFolder
from springtide.cli.webhook_sample import Stamp, sample
from springtide.cli.webhook_verdict import Outcome, verdict
from springtide.provider.machine.state_files import secrets_folder
from springtide.runtime.errors import BadInput
from springtide.wire.webhooks.proof import ProofCheck, key_of
from springtide.wire.webhooks.shown import shown_by
from springtide.wire.webhooks.webhook import NOT_ACCEPTED, Kind, unknown_webhook
from tests.cli.conftest import Api, Terminal

NOW = 1_700_000_000
STAMP = Stamp(now=NOW, id="0123456789abcdef01234567")
SECRETS = dict.fromkeys(Kind, b"It's a Secret to Everybody\n") | {
    Kind.STANDARD: b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
    Kind.ALERTMANAGER: b"alerts:It's a Secret to Everybody\n",
}


# Pure.


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.NONE])
@pytest.mark.parametrize("body", [None, b'{"own": "body"}'])
def test_each_sample_proves_who_sent_it_by_the_right_secret_alone(kind: Kind, body: bytes | None) -> None:
    """To the reader and the check that hold senders' published examples."""
    made = sample(kind, SECRETS[kind], STAMP, body=body)
    headers = [(name.encode(), value.encode()) for name, value in made.headers]
    shown = shown_by(kind, headers, now=NOW, tolerance_s=1)
    assert shown.proof is not None

    def right(secret: bytes) -> bool:
        assert shown.proof is not None
        check = ProofCheck(shown.proof, [key_of(kind, secret)])
        check.feed(made.body)
        return check.right()

    assert right(SECRETS[kind])
    assert not right(b"d3Jvbmc=")
    assert made.body == (body or made.body)
    assert json.loads(made.body)


def test_a_token_without_a_user_is_shown_as_one() -> None:
    made = sample(Kind.ALERTMANAGER, b"token\n", STAMP)

    assert dict(made.headers)["Authorization"] == "Bearer token"


@pytest.mark.parametrize(
    ("body", "event", "told"), [(None, None, "ping"), (b"{}", None, "push"), (b"{}", "issues", "issues")]
)
def test_github_says_which_event_it_is(body: bytes | None, event: str | None, told: str) -> None:
    made = sample(Kind.GITHUB, b"s", STAMP, body=body, event=event)

    assert dict(made.headers)["X-GitHub-Event"] == told


def test_a_secret_that_cannot_be_one_is_refused_without_its_value() -> None:
    with pytest.raises(BadInput, match="is not base64") as error:
        sample(Kind.STANDARD, b"!hunter2!", STAMP)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "status", "headers", "body", "outcome", "said"),
    [
        pytest.param("github", 202, {"x-call-id": "j1"}, "", "ACCEPTED", "j1", id="stored"),
        pytest.param("github", 200, {}, "hello", "ACCEPTED", "answered 200", id="called"),
        pytest.param("slack", 200, {"x-call-id": "c"}, "abc", "ACCEPTED", "challenge", id="Slack's challenge"),
        pytest.param(
            "slack", 200, {"x-call-id": "c"}, "hi", "ACCEPTED", "the function answered", id="an event of Slack's"
        ),
        pytest.param("stripe", 401, {}, NOT_ACCEPTED, "REFUSED", "clocks", id="not accepted, by a time perhaps"),
        pytest.param("github", 401, {}, NOT_ACCEPTED, "REFUSED", "not that of a secret", id="not accepted"),
        pytest.param("github", 404, {}, unknown_webhook("f"), "REFUSED", "com.springtide.webhook", id="unknown"),
        pytest.param(
            "github", 503, {"x-openfaas-internal": "gateway"}, "later", "UNDECIDED", "the log", id="not checked now"
        ),
        pytest.param("github", 429, {}, "full", "UNDECIDED", "full", id="a full queue"),
        pytest.param("github", 401, {}, "log in", "FAILED", "log in", id="a 401 of somebody else"),
        pytest.param("github", 502, {}, "nginx", "FAILED", "between", id="a proxy before the gateway"),
        pytest.param("github", 500, {}, "oops", "FAILED", "oops", id="the function fails"),
    ],
)
def test_the_answer_says_what_is_wrong(
    kind: str, status: int, headers: dict[str, str], body: str, outcome: str, said: str
) -> None:
    found = verdict(Kind(kind), status, headers, body, challenge="abc", log="the log")

    assert found.outcome.name == outcome
    assert said in f"{found.says} {found.remedy}"
    assert bool(found.remedy) is (found.outcome is not Outcome.ACCEPTED)


def test_a_clock_is_no_reason_where_no_time_is_signed() -> None:
    assert "clock" not in verdict(Kind.GITHUB, 401, {}, NOT_ACCEPTED, log="the log").remedy


# With a gateway and a provider.


@pytest.fixture
def hook(springtide: Terminal, tmp_path: Path) -> Path:
    """A function that takes what GitHub sends; the file with the secret."""
    file = tmp_path / "hook.txt"
    file.write_text("hunter2\n")
    assert springtide("secret", "create", "hook", "--from-file", str(file)).status == 0
    deployed = springtide(
        *("deploy", "--image", "i", "--name", "on-push", "--secret", "hook"),
        *("--annotation", "com.springtide.webhook=github", "--annotation", "com.springtide.webhook.secret=hook"),
    )
    assert deployed.status == 0, deployed.err
    end = time.monotonic() + 60
    while springtide("webhook", "test", "on-push", "--secret-file", str(file)).status == Outcome.REFUSED:
        assert time.monotonic() < end, "no gateway hears of it"
    return file


def test_a_right_secret_is_accepted(springtide: Terminal, hook: Path) -> None:
    done = springtide("webhook", "test", "on-push", "--secret-file", str(hook))

    assert (done.status, done.err) == (0, "")
    assert "Accepted: the function answered 200." in done.out
    assert "hunter2" not in done.out


def test_a_wrong_one_is_not_and_tells_why_as_json_too(springtide: Terminal, hook: Path) -> None:
    hook.write_text("wrong")

    done = springtide("webhook", "test", "on-push", "--secret-file", str(hook), "--json")

    told = json.loads(done.out)
    assert done.status == 3
    assert (told["accepted"], told["outcome"], told["status"], told["kind"]) == (False, "refused", 401, "github")
    assert "com.springtide.webhook.secret" in told["remedy"]


def test_without_the_system_api_kind_and_file_are_enough(terminal: Terminal, api: Api, hook: Path) -> None:
    terminal.environ.clear()
    asked = ("webhook", "test", "on-push", "--gateway", api.url, "--secret-file", str(hook))

    assert terminal(*asked, "--kind", "github", "-n", "openfaas-fn").status == 0
    assert terminal(*asked, "--kind", "slack").status == 3


def test_a_body_of_ones_own_is_what_the_function_gets(springtide: Terminal, hook: Path) -> None:
    body = hook.with_name("body")
    body.write_text('{"ref": "main"}')

    for given in (("--data", body.read_text()), ("--data-file", str(body))):
        assert springtide("webhook", "test", "on-push", "--secret-file", str(hook), *given).status == 0
    both = springtide("webhook", "test", "on-push", "--secret-file", str(hook), "-d", "x", "--data-file", str(body))
    assert (both.status, "give one of them" in both.err) == (1, True)


@pytest.mark.usefixtures("hook")
def test_the_value_of_another_suite_is_asked_for(springtide: Terminal) -> None:
    done = springtide("webhook", "test", "on-push")

    assert (done.status, "--secret-file" in done.err) == (1, True)


def test_that_of_the_suite_of_this_machine_is_known(springtide: Terminal, api: Api, hook: Path) -> None:
    state = StateFolder(springtide.home / "state")
    with state.held():
        (state.secrets / "basic-auth-user").write_text("admin")
        (state.secrets / "basic-auth-password").write_text("s3cret")
        state.announce(Running(pid=os.getpid(), gateway=api.url, metrics="m", provider="p", alert_receiver="a"))
        folder = secrets_folder(state.provider, "openfaas-fn")
        folder.mkdir(parents=True)
        (folder / "hook").write_bytes(hook.read_bytes())

        right = springtide("webhook", "test", "on-push", "--state-dir", str(state.root))
        (folder / "hook").write_text("another")
        wrong = springtide("webhook", "test", "on-push", "--state-dir", str(state.root))

    assert (right.status, wrong.status) == (0, 3), right.err + wrong.err
    assert str(state.log("gateway")) in wrong.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("on-push", "--kind", "stripe"), "says github"),
        (("plain",), "takes no webhooks"),
        (("nobody",), "no function nobody"),
        (("on-push", "--secret-file", "missing"), "missing: No such file"),
    ],
)
@pytest.mark.usefixtures("hook")
def test_what_cannot_be_tried_is_told(springtide: Terminal, words: tuple[str, ...], said: str) -> None:
    assert springtide("deploy", "--image", "i", "--name", "plain").status == 0

    done = springtide("webhook", "test", *words)

    assert (done.status, said in done.err) == (1, True), done.err

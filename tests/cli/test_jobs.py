"""Asynchronous calls on the command line, by a real gateway and a real NATS server; the tests play the worker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.wire.jobs.job import Answer, Job, JobState, Progress
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.status_json import MAX_BODY
from tests.cli.conftest import Api, serving
from tests.fakes.http import HttpServer
from tests.nats_server import NatsServer, running
from tests.played_worker import PlayedWorker

ANSWER = {"status": 200, "headers": {}, "body": "answer", "encoding": "text", "size": 6, "truncated": False}
NO_LINE = "this is no line that springtide queue export has written"
NO_ID = "00000000-0000-8000-8000-000000000000"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, server: NatsServer) -> Iterator[Api]:
    with serving(tmp_path_factory.mktemp("served"), broker=server.settings) as api:
        yield api


class Played:
    """A worker on the loop of the API, and the queue it has."""

    def __init__(self, api: Api, worker: PlayedWorker) -> None:
        self.api, self.worker = api, worker

    @property
    def header(self) -> tuple[str, str]:
        return "-H", f"X-Queue: {self.worker.queue}"

    def runs(self, *answer: Any, **more: Any) -> None:
        self.api.do(self.worker.runs(*answer, **more))

    def will_run(self, answer: Answer) -> Future[Job]:
        return asyncio.run_coroutine_threadsafe(self.worker.runs(answer), self.api.loop)


@pytest.fixture
def worker(api: Api, server: NatsServer) -> Iterator[Played]:
    async def made() -> Broker:
        return Broker(server.settings, name="test worker")

    broker = api.do(made())
    yield Played(api, PlayedWorker(broker))
    api.do(broker.aclose())


@pytest.fixture(autouse=True)
def function(springtide: Any) -> None:
    assert springtide("deploy", "echo", "--fprocess", "cat").status == 0


def called(springtide: Any, worker: Played, *words: str) -> str:
    outcome = springtide("invoke", "echo", "--async", *worker.header, *words)
    assert (outcome.status, outcome.err) == (0, "")
    return outcome.out.strip()


def ended(springtide: Any, worker: Played, state: JobState, answer: Answer, reason: str = "") -> str:
    job_id = called(springtide, worker)
    worker.runs(answer, state=state, reason=reason)
    return job_id


def test_invoke_async_prints_the_id_of_a_call_that_is_queued(springtide: Any, worker: Played) -> None:
    job_id = called(springtide, worker, "-d", "body")
    job = json.loads(springtide("jobs", "show", job_id, "--json").out)
    assert (job["id"], job["state"], job["queue"]) == (job_id, "queued", worker.worker.queue)


def test_another_method_is_kept(springtide: Any, worker: Played) -> None:
    job_id = called(springtide, worker, "-m", "PUT", "--query", "a=b")
    job = json.loads(springtide("jobs", "show", job_id, "--json").out)
    assert (job["method"], job["query"]) == ("PUT", "a=b")


@pytest.mark.parametrize(
    ("status", "exit_status", "told"),
    [pytest.param(200, 0, "", id="good"), pytest.param(500, 1, "echo answered 500", id="bad")],
)
def test_invoke_async_waits_and_exits_by_the_status(
    springtide: Any, worker: Played, status: int, exit_status: int, told: str
) -> None:
    runs = worker.will_run(Answer(status, (), b"\x00answer\xff"))
    outcome = springtide("invoke", "echo", "--async", "--wait", *worker.header)
    runs.result(20)
    assert outcome.status == exit_status
    assert outcome.out.encode(errors="surrogateescape").startswith(b"\x00answer")
    assert told in outcome.err


def test_what_is_not_accepted_is_told(springtide: Any) -> None:
    outcome = springtide("invoke", "nobody", "--async")
    assert outcome.status == 1
    assert "404" in outcome.err
    assert "no function 'nobody'" in outcome.err
    outcome = springtide("invoke", "echo", "--wait")
    assert "--wait is for --async" in outcome.err


def test_wait_prints_the_answer_of_a_call_that_has_ended(springtide: Any, worker: Played) -> None:
    job_id = ended(springtide, worker, JobState.DONE, Answer(200, (), b"answer"))
    outcome = springtide("jobs", "wait", job_id)
    assert (outcome.status, outcome.out) == (0, "answer")


def test_wait_gives_up_and_the_call_goes_on(springtide: Any, worker: Played) -> None:
    job_id = called(springtide, worker)
    outcome = springtide("jobs", "wait", job_id, "--timeout", "10ms")
    assert outcome.status == 1
    assert f"{job_id} is queued still" in outcome.err


def test_who_waits_bears_with_a_gateway_that_is_away_for_a_moment(springtide: Any, api: Api) -> None:
    job = {"id": NO_ID, "state": "done", "function": "echo", "reason": None, "attempts": 1, "answer": ANSWER}
    answers = [(503, b"away"), (502, b"nobody there"), (200, json.dumps(job).encode())]

    async def answer(_: str) -> tuple[int, bytes]:
        return answers.pop(0)

    server = HttpServer(answer)
    api.do(server.start())
    outcome = springtide("jobs", "wait", NO_ID, "-g", f"http://127.0.0.1:{server.port}")
    api.do(server.stop())
    assert (outcome.status, outcome.out) == (0, "answer")


def test_an_answer_that_is_no_json_is_told(springtide: Any, api: Api) -> None:
    async def answer(_: str) -> tuple[int, bytes]:
        return 200, b"<html>a proxy's page"

    server = HttpServer(answer)
    api.do(server.start())
    outcome = springtide("jobs", "show", NO_ID, "-g", f"http://127.0.0.1:{server.port}")
    api.do(server.stop())
    assert outcome.status == 1
    assert "the gateway's answer is not JSON: \"<html>a proxy's page\"" in outcome.err


def test_wait_for_a_call_that_was_given_up_says_why(springtide: Any, worker: Played) -> None:
    job_id = ended(springtide, worker, JobState.FAILED, Answer(503, (), b"no"), "10 attempts")
    outcome = springtide("jobs", "wait", job_id)
    assert (outcome.status, outcome.out) == (1, "no")
    assert "failed: 10 attempts" in outcome.err


def test_jobs_are_listed_by_queue_and_state(springtide: Any, worker: Played) -> None:
    done = ended(springtide, worker, JobState.DONE, Answer(200))
    running_now = called(springtide, worker)
    lease = worker.api.do(worker.worker.taken())
    worker.api.do(worker.worker.tells(lease, Progress(state=JobState.RUNNING, attempts=3, started_at=1.0)))
    delayed = called(springtide, worker, "-H", "X-Delay: 1h")
    while "running" not in (out := springtide("jobs", "list", "--queue", worker.worker.queue).out):
        pass
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["Id", "Function", "State", "Attempts", "Age", "Last"]
    assert [row[:4] for row in rows[1:]] == [
        [running_now, "echo", "running", "3"],
        [delayed, "echo", "delayed", "0"],
        [done, "echo", "done", "1"],
    ]
    assert rows[2][5] == "in"
    found = json.loads(springtide("jobs", "list", "--state", "done", "--queue", worker.worker.queue, "--json").out)
    assert [job["id"] for job in found] == [done]
    assert "There are more" in springtide("jobs", "list", "--queue", worker.worker.queue, "--limit", "1").err


def test_a_job_is_shown_with_its_answer_and_nothing_of_it_acts_on_the_terminal(springtide: Any, worker: Played) -> None:
    answer = Answer(418, (("X-A", "\x1b[31m"),), b"tea\x1b[2J")
    out = springtide("jobs", "show", ended(springtide, worker, JobState.DONE, answer)).out
    assert "\x1b" not in out
    assert "tea\\x1b[2J" in out
    assert "418" in out


def test_an_answer_that_was_cut_is_told_and_has_a_status_of_its_own(springtide: Any, worker: Played) -> None:
    job_id = ended(springtide, worker, JobState.DONE, Answer(200, (), b"begin", truncated=True))
    for more in ((), ("--json",)):
        outcome = springtide("jobs", "wait", job_id, *more)
        assert outcome.status == 3
        assert "this is the beginning of it, 5 bytes" in outcome.err
        assert "max_result" in outcome.err
    bad = ended(springtide, worker, JobState.DONE, Answer(500, (), b"begin", truncated=True))
    assert springtide("jobs", "wait", bad).status == 1
    runs = worker.will_run(Answer(200, (), b"begin", truncated=True))
    outcome = springtide("invoke", "echo", "--async", "--wait", *worker.header)
    runs.result(20)
    assert (outcome.status, outcome.out) == (3, "begin")


def test_all_that_was_kept_of_a_large_answer_comes(springtide: Any, worker: Played) -> None:
    """More than what is told with the state of a call."""
    body = b"x" * (MAX_BODY + 1)
    outcome = springtide("jobs", "wait", ended(springtide, worker, JobState.DONE, Answer(200, (), body)))
    assert (outcome.status, outcome.err, outcome.out == body.decode()) == (0, "", True)
    cut = ended(springtide, worker, JobState.DONE, Answer(200, (), body, truncated=True))
    outcome = springtide("jobs", "wait", cut, "-o", "answer")
    assert (outcome.status, outcome.out, Path("answer").read_bytes() == body) == (3, "", True)


def test_an_answer_is_shown_as_what_it_is(springtide: Any, worker: Played) -> None:
    latin = Answer(200, (("Content-Type", "text/plain; charset=latin-1"),), "grün".encode("latin-1"))
    assert springtide("jobs", "show", ended(springtide, worker, JobState.DONE, latin)).out.endswith("4 bytes\ngrün\n")
    picture = Answer(200, (("Content-Type", "image/png"),), b"\x89PNG\xff")
    job_id = ended(springtide, worker, JobState.DONE, picture)
    out = springtide("jobs", "show", job_id).out
    assert f"5 bytes, no text (image/png): springtide jobs show {job_id} --output FILE\n" in out
    assert "iVBO" not in out
    outcome = springtide("jobs", "show", job_id, "--output", "picture.png")
    assert (outcome.status, outcome.out, Path("picture.png").read_bytes()) == (0, "", b"\x89PNG\xff")


def test_a_hyphen_names_the_output_and_no_file(springtide: Any, worker: Played) -> None:
    done = ended(springtide, worker, JobState.DONE, Answer(200, (), b"answer"))
    dead = called(springtide, worker, "-d", "body")
    worker.runs(Answer(500), state=JobState.FAILED)
    for words, told in (
        (("jobs", "show", done), "answer"),
        (("jobs", "wait", done), "answer"),
        (("dead", "show", dead), "body"),
    ):
        outcome = springtide(*words, "--output", "-")
        assert (outcome.status, outcome.out) == (0, told)
    assert list(Path().iterdir()) == []


def test_a_call_without_an_answer_writes_no_file(springtide: Any, worker: Played) -> None:
    job_id = called(springtide, worker)
    outcome = springtide("jobs", "show", job_id, "--output", "answer")
    assert (outcome.status, f"{job_id} is queued, and has no answer" in outcome.err) == (1, True)
    assert list(Path().iterdir()) == []


def test_the_story_of_a_call_has_its_callback_and_is_found_by_the_id_of_its_letter(
    springtide: Any, worker: Played
) -> None:
    job_id = called(springtide, worker, "-H", "X-Callback-Url: http://example.org/told")
    token = worker.api.do(worker.worker.runs(Answer(200))).token
    assert "not yet; the answer is to be sent" in springtide("jobs", "show", job_id).out
    tried = Progress(
        state=JobState.RETRYING, attempts=3, started_at=1.0, next_attempt_at=time.time() + 3600.5, status=500
    )
    worker.api.do(worker.worker.jobs.tell_delivery(token, tried))
    while "tried 3 times, the last answer was 500; again in" not in springtide("jobs", "show", job_id).out:
        pass
    listed = springtide("jobs", "list", "--queue", worker.worker.queue).out
    assert "200, callback tried 3 times, again in" in listed
    nobody = replace(tried, attempts=4, status=0, reason="nobody there")
    worker.api.do(worker.worker.jobs.tell_delivery(token, nobody))
    while (
        "tried 4 times, no answer came the last time (nobody there); again"
        not in springtide("jobs", "show", job_id).out
    ):
        pass
    failed = Progress(state=JobState.FAILED, attempts=10, started_at=1.0, reason="10 times is enough")
    worker.api.do(worker.worker.jobs.tell_delivery(token, failed))
    told = f"given up, tried 10 times: 10 times is enough; springtide dead show {job_id}-callback"
    while told not in springtide("jobs", "show", f"{job_id}-callback").out:
        pass
    outcome = springtide("jobs", "wait", f"{job_id}-callback")
    assert (outcome.status, f"springtide jobs show {job_id}-callback" in outcome.err) == (1, True)
    outcome = springtide("jobs", "show", f"{NO_ID}-callback")
    assert (outcome.status, f"no dead letter '{NO_ID}-callback'; springtide dead list" in outcome.err) == (1, True)


def test_a_call_that_was_given_up_names_its_letter(springtide: Any, worker: Played) -> None:
    job_id = ended(springtide, worker, JobState.FAILED, Answer(500), "why")
    assert f"springtide dead show {job_id}\n" in springtide("jobs", "show", job_id).out


def test_a_call_cancelled_between_two_attempts_says_after_how_many(springtide: Any, worker: Played) -> None:
    job_id = called(springtide, worker)
    lease = worker.api.do(worker.worker.taken())
    retrying = Progress(state=JobState.RETRYING, attempts=2, started_at=5.0, next_attempt_at=9e9)
    worker.api.do(worker.worker.tells(lease, retrying))
    worker.api.do(lease.hand_back(3600.0))
    while "retrying" not in springtide("jobs", "show", job_id).out:
        pass
    assert springtide("jobs", "cancel", job_id).out == f"{job_id}: cancelled after 2 attempts.\n"
    assert "after 2 attempts, while it waited for the next" in springtide("jobs", "show", job_id).out


def test_jobs_are_cancelled_and_ended_ones_not(springtide: Any, worker: Played) -> None:
    job_id = called(springtide, worker)
    outcome = springtide("jobs", "cancel", job_id)
    assert (outcome.status, outcome.out, outcome.err) == (0, f"{job_id}: cancelled.\n", "")
    done = ended(springtide, worker, JobState.DONE, Answer(200))
    outcome = springtide("jobs", "cancel", done)
    assert (outcome.status, "it is done" in outcome.err) == (1, True)
    outcome = springtide("jobs", "show", NO_ID)
    assert (outcome.status, outcome.err.startswith(f"springtide: there is no asynchronous call {NO_ID}")) == (1, True)
    outcome = springtide("jobs", "wait", "echo")
    assert (outcome.status, "'echo' is no id of a call" in outcome.err) == (1, True)


def test_dead_letters_are_listed_shown_and_queued_again(springtide: Any, worker: Played) -> None:
    one, two = (ended(springtide, worker, JobState.FAILED, Answer(500, (), b"broken"), "why") for _ in range(2))
    queue = ("--queue", worker.worker.queue)
    rows = [line.split() for line in springtide("dead", "list", *queue).out.splitlines()]
    assert [row[0] for row in rows] == ["Id", one, two]
    found = json.loads(springtide("dead", "list", *queue, "--json").out)
    assert [(letter["id"], letter["reason"]) for letter in found] == [(one, "why"), (two, "why")]
    assert "broken" in springtide("dead", "show", one).out
    outcome = springtide("dead", "retry", one)
    assert (outcome.status, outcome.out) == (0, "1 queued again.\n")
    outcome = springtide("dead", "retry", "--all", *queue)
    assert (outcome.status, outcome.out) == (0, "1 queued again.\n")
    assert json.loads(springtide("jobs", "show", two, "--json").out)["state"] == "queued"
    outcome = springtide("jobs", "retry", one)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == f"springtide: there is no dead letter '{one}'; springtide dead list shows those there are\n"


def test_dead_letters_are_purged_only_when_that_is_meant(springtide: Any, worker: Played) -> None:
    one = ended(springtide, worker, JobState.FAILED, Answer(500), "why")
    queue = ("--queue", worker.worker.queue)
    assert "give the ids" in springtide("dead", "purge").err
    outcome = springtide("dead", "purge", "--all", *queue)
    assert (outcome.status, "say --yes" in outcome.err) == (1, True)
    assert one in springtide("dead", "list", *queue).out
    outcome = springtide("dead", "purge", one, typed="n\n")
    assert (outcome.status, "Nothing was thrown away." in outcome.err) == (1, True)
    assert one in springtide("dead", "list", *queue).out
    outcome = springtide("dead", "purge", NO_ID, one, "--yes")
    assert (outcome.status, outcome.out, NO_ID in outcome.err) == (1, "1 thrown away.\n", True)
    assert one not in springtide("dead", "list", *queue).out


def test_queues_are_listed_with_their_functions(springtide: Any, worker: Played) -> None:
    called(springtide, worker)
    while worker.worker.queue not in (out := springtide("queue", "list").out):
        pass
    rows = [line.split() for line in out.splitlines()]
    place = next(number for number, row in enumerate(rows) if row[0] == worker.worker.queue)
    assert (rows[place][1], rows[place + 1]) == ("1", ["echo", "1"])
    assert {"queues", "delayed", "callbacks"} <= set(json.loads(springtide("queue", "list", "--json").out))


# Queues in files.


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Another suite with a broker of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with running(folder / "nats") as server, serving(folder, broker=server.settings) as api:
        yield api


def test_a_queue_is_moved_by_a_file(springtide: Any, worker: Played, elsewhere: Api) -> None:
    dead = ended(springtide, worker, JobState.FAILED, Answer(500), "why")
    ids = [called(springtide, worker, "-d", "body") for _ in range(3)]
    outcome = springtide("queue", "export", worker.worker.queue, "-o", "queue.ndjson")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "Wrote 3 jobs and 1 dead letter.\n")
    springtide.log_in(elsewhere.url)
    there = ("-g", elsewhere.url)

    outcome = springtide("queue", "import", "queue.ndjson", *there)
    assert (outcome.status, outcome.out) == (0, "Brought in 3 jobs and 1 dead letter; there already: 0.\n")
    chosen = ("--queue", worker.worker.queue, "--json", *there)
    assert [job["id"] for job in json.loads(springtide("jobs", "list", "--state", "queued", *chosen).out)] == ids
    assert [letter["id"] for letter in json.loads(springtide("dead", "list", *chosen).out)] == [dead]
    again = springtide("queue", "import", "-", *there, piped=Path("queue.ndjson").read_bytes())
    assert (again.status, again.out) == (0, "Brought in 0 jobs and 0 dead letters; there already: 4.\n")


@pytest.mark.parametrize("words", [pytest.param((), id="not named"), pytest.param(("-o", "-"), id="a hyphen")])
def test_an_export_without_a_file_goes_to_the_output(springtide: Any, worker: Played, words: tuple[str, ...]) -> None:
    called(springtide, worker, "-d", "body")
    lines = springtide("queue", "export", worker.worker.queue, *words).out.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["job", "end"]
    assert list(Path().iterdir()) == []


def test_a_queue_that_is_not_there_leaves_no_file(springtide: Any) -> None:
    outcome = springtide("queue", "export", "nobody-has-it", "-o", "queue.ndjson")
    told = "springtide: there is no queue nobody-has-it; springtide queue list shows those there are\n"
    assert (outcome.status, outcome.err) == (1, told)
    assert list(Path().iterdir()) == []


def test_an_export_replaces_a_file_only_when_that_is_meant(springtide: Any, worker: Played) -> None:
    called(springtide, worker)
    words = ("queue", "export", worker.worker.queue, "-o", "queue.ndjson")
    Path("queue.ndjson").write_text("of yesterday")
    outcome = springtide(*words)
    assert (outcome.status, "queue.ndjson is there already" in outcome.err, "--force" in outcome.err) == (1, True, True)
    assert Path("queue.ndjson").read_text() == "of yesterday"
    assert springtide(*words, "--force").status == 0
    assert len(Path("queue.ndjson").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"no export\n", f"line 1: {NO_LINE}: it is not JSON"),
        pytest.param(b"\xff\xfe\n", f"line 1: {NO_LINE}: it is not JSON"),
        pytest.param(b'\n{"v":1,"kind":"job"}\n', f"line 2: {NO_LINE}: it has no 'job'"),
        pytest.param(b'{"v":1,"kind":"job","job":{"v":1},"body":""}\n', "line 1: it is not what is stored of a job"),
        pytest.param(b"[]\n", "of another kind than what is written there"),
        pytest.param(b'{"v":1,"kind":"end","jobs":"x","dead":0,"unreadable":0}\n', "its jobs is 'x', no whole number"),
        pytest.param(b'{"v":2,"kind":"end"}\n', "it is version 2"),
        pytest.param(b'\n\n{"v":1,"kind":"piece","data":""}\n', "springtide: line 3: a piece of a body stands behind"),
    ],
)
def test_what_is_no_export_is_told_by_its_line_and_in_words(springtide: Any, content: bytes, told: str) -> None:
    outcome = springtide("queue", "import", "-", piped=content)
    assert outcome.status == 1
    assert told in outcome.err
    for word in ("Error(", "Expecting", "codec", "char 0", "invalid literal", "/system"):
        assert word not in outcome.err


def test_a_file_that_is_cut_off_is_brought_in_and_said_so(springtide: Any, worker: Played, elsewhere: Api) -> None:
    for _ in range(2):
        called(springtide, worker)
    lines = springtide("queue", "export", worker.worker.queue).out.splitlines(keepends=True)
    springtide.log_in(elsewhere.url)
    outcome = springtide("queue", "import", "-", "-g", elsewhere.url, piped=lines[0].encode())
    assert (outcome.status, outcome.out) == (1, "Brought in 1 job and 0 dead letters; there already: 0.\n")
    assert "some of it is missing" in outcome.err
    outcome = springtide("queue", "import", "-", piped=b"no export\n")
    assert (outcome.status, "line 1" in outcome.err) == (1, True)
    missing = springtide("queue", "import", "nothing.ndjson")
    assert "No such file" in missing.err
    assert missing.out == ""


def test_the_gateway_names_the_line_that_it_cannot_read(springtide: Any, api: Api) -> None:
    url = f"{api.url}/system/queues/import"
    line = b'{"v":1,"kind":"end","jobs":0,"dead":0,"unreadable":0}'
    assert httpx.post(url, content=b"\n" + line, auth=("admin", "s3cret")).json() == {"jobs": 0, "dead": 0, "there": 0}
    answer = httpx.post(url, content=b"\n{}\n", auth=("admin", "s3cret"))
    assert (answer.status_code, answer.text[:7]) == (400, "line 2:")
    assert httpx.post(url, content=line).status_code == 401

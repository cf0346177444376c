"""What the console lets people try: bounded, one at a time, with a deadline, and only for its own pages."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from springtide.console.what_if import WhatIf, suggestions
from springtide.runtime.errors import BadInput, TooMany, Unavailable
from tests.console.served import world

ASKED: dict[str, Any] = {"since": "24h", "policies": "owner=alerts\n\n target=5 \n", "concurrency": "10"}
URL = "http://prom:9090"


def saying(code: str) -> WhatIf:
    """A program in replay's place."""
    return WhatIf((sys.executable, "-c", code), URL, "/run/secrets", deadline_s=20.0)


async def test_the_command_is_given_what_was_asked_and_no_secret() -> None:
    told = await saying("import json, sys; print(json.dumps(sys.argv[1:]))").ask("hello.fn", ASKED)
    assert told == [
        "--json", f"--prometheus={URL}", "--prometheus-secrets=/run/secrets", "--since=1d", "--concurrency=10",
        "--policy=owner=alerts", "--policy=target=5", "--", "hello.fn",
    ]  # fmt: skip


async def test_what_the_command_says_is_wrong_is_passed_on() -> None:
    with pytest.raises(BadInput, match=r"^no calls of hello$"):
        await saying("import sys; sys.exit('springtide: no calls of hello')").ask("hello", ASKED)
    with pytest.raises(BadInput, match=r"^'foo=3': no such key$"):
        await saying("import sys; sys.exit(\"springtide: --policy 'foo=3': no such key\")").ask("hello", ASKED)


async def test_one_at_a_time_and_no_longer_than_its_deadline() -> None:
    what_if = WhatIf((sys.executable, "-c", "import time; time.sleep(600)"), URL, "", deadline_s=0.5)
    first = asyncio.create_task(what_if.ask("hello", ASKED))
    await asyncio.sleep(0)
    with pytest.raises(TooMany, match="one at a time"):
        await what_if.ask("hello", ASKED)
    with pytest.raises(Unavailable, match=r"longer than 0\.5 s; ask for a shorter time or fewer policies"):
        await first
    with pytest.raises(Unavailable):
        await what_if.ask("hello", ASKED)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"since": "1y"}, "since: '1y' is none of 1h"),
        ({"policies": ""}, "policies: write 1 to 4"),
        ({"policies": "a\n" * 5}, "policies: write 1 to 4"),
        ({"policies": "x" * 501}, "at most 500 characters"),
        ({"policies": ["owner=alerts"]}, "policies: write 1 to 4"),
        ({"concurrency": "0"}, "concurrency: write a whole number of 1 to 10000"),
        ({"concurrency": "99999"}, "concurrency"),
        ({"concurrency": "--html=x"}, "concurrency"),
    ],
)
async def test_a_question_is_bounded(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        await saying("print(1)").ask("hello", ASKED | changed)


def test_the_functions_own_labels_are_the_first_to_try() -> None:
    labels = {"com.openfaas.scale.target": "7", "com.openfaas.scale.zero-duration": "3m", "team": "blue"}
    assert suggestions(labels)[0] == "target=7,zero-duration=3m"
    assert suggestions({})[0] == "owner=alerts"


@pytest.mark.parametrize("type_", ["cpu", "queue", "jobs"])
def test_a_load_that_calls_do_not_tell_is_not_suggested(type_: str) -> None:
    labels = {"com.openfaas.scale.type": type_, "com.openfaas.scale.target": "7"}
    assert suggestions(labels)[0] == "owner=alerts"


async def test_without_prometheus_it_says_what_is_missing_and_to_strangers_nothing() -> None:
    async with world() as here:
        await here.deploy("greet")
        path = "/ui/api/functions/greet.openfaas-fn/what-if"
        answer = await here.http.post(path, json=ASKED, headers=await here.token())
        assert answer.status_code == 501
        assert "no Prometheus is configured; set prometheus_url" in answer.text
        assert (await here.http.post(path, content=json.dumps(ASKED))).status_code == 403
        page = (await here.http.get("/ui/functions/greet.openfaas-fn")).text
        assert "once Prometheus runs" in page
        assert 'id="what-if"' not in page

"""Handlers of the classic python3 template: what they print is the answer, and each call is a process of its own."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.watchdog import config
from springtide.watchdog.config import Mode
from tests.provider.process.conftest import Shared
from tests.provider.process.world import World
from tests.watchdog.handlers import CLASSIC

_names = (f"classic-{number}" for number in itertools.count())


def answer(shared: Shared, source: str, env: dict[str, str] | None = None, **request: Any) -> httpx.Response:
    """Deploy a handler of the classic template, call it once."""

    async def call(world: World) -> httpx.Response:
        name = next(_names)
        path = request.pop("path", "/")
        address = await world.up(name, "python3 index.py", env, annotations=world.handler(source, name, CLASSIC))
        return await world.http.request(**{"method": "POST", "url": address + path, "content": b"hello", **request})

    return shared.run(call(shared.world))


PRINTS = """
import os
def handle(req):
    print(f"{req} q={os.getenv('Http_Query')} m={os.getenv('Http_Method')}")
"""


def test_what_is_printed_is_the_answer_and_the_call_is_in_the_environment(shared: Shared) -> None:
    response = answer(shared, PRINTS, path="/?name=you")

    assert (response.status_code, response.text) == (200, "hello q=name=you m=POST\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        pytest.param("return req.upper()", 200, "HELLO\n", id="what is returned is printed"),
        pytest.param("print('a'); return 'b'", 200, "a\nb\n", id="after what was printed"),
        pytest.param("return {'a': 1}", 200, "{'a': 1}\n", id="as Python shows it"),
        pytest.param("return 0", 200, "0\n", id="nought is something"),
        pytest.param("return None", 200, "", id="None is nothing"),
        pytest.param("import sys; sys.stdout.write('no line end')", 200, "no line end", id="written"),
        pytest.param("import os; os.write(1, b'raw')", 200, "raw", id="past Python"),
        pytest.param("import subprocess; subprocess.run(['echo', 'child'])", 200, "child\n", id="by a child"),
        pytest.param("import sys; print('x'); sys.exit(3)", 500, "exit status 3\nx\n", id="exit"),
        pytest.param("import sys; print('x'); sys.exit()", 200, "x\n", id="exit without a status"),
        pytest.param("import sys; sys.exit('why')", 500, "exit status 1\nwhy\n", id="exit with a reason"),
        pytest.param("import os; os._exit(4)", 500, "exit status 4\n", id="a hard exit"),
        pytest.param("import os; os.kill(os.getpid(), 11)", 500, "killed by signal 11\n", id="a crash"),
        pytest.param("import atexit; atexit.register(print, 'end'); print('x')", 200, "x\nend\n", id="atexit"),
        pytest.param(
            "import threading; said = threading.Event(); "
            "threading.Thread(target=lambda: said.wait() and print('late')).start(); print('x'); said.set()",
            200,
            "x\nlate\n",
            id="threads",
        ),
        pytest.param(
            "import asyncio; asyncio.run(asyncio.sleep(0)); return 'ran'", 200, "ran\n", id="a loop of its own"
        ),
        pytest.param(
            "import sys; print('e', file=sys.stderr); print('o')", 200, "e\no\n", id="standard error is mixed in"
        ),
        pytest.param("import sys; return sys.argv", 200, "['index.py']\n", id="arguments"),
        pytest.param("import os; return os.environ['Http_X_Call_Id']", 200, "42\n", id="headers"),
    ],
)
def test_handler_that(shared: Shared, body: str, status: int, text: str) -> None:
    response = answer(shared, f"def handle(req):\n    {body}", headers={"X-Call-Id": "42"})

    assert (response.status_code, response.text) == (status, text)


def test_exception_is_answered_500_with_its_traceback_as_the_classic_watchdog_does(shared: Shared) -> None:
    response = answer(shared, "def handle(req):\n    raise KeyError('deep')")

    assert response.status_code == 500
    assert response.text.startswith("exit status 1\nTraceback (most recent call last):\n")
    assert response.text.endswith("KeyError: 'deep'\n")
    assert "watchdog" not in response.text


def test_bytes_that_are_no_text_pass_unharmed(shared: Shared) -> None:
    body = bytes(range(256)).replace(b"\r", b"")

    response = answer(shared, "def handle(req):\n    print(req, end='')", content=body)

    assert response.content == body


def test_each_call_has_a_process_of_its_own_and_imports_the_handler_anew(shared: Shared) -> None:
    source = """
import os
METHOD = os.environ["Http_Method"]
seen = []
def handle(req):
    seen.append(req)
    print(METHOD, len(seen), os.environ.get("LEFT"))
    os.environ["LEFT"] = "behind"
"""

    async def story(world: World) -> list[str]:
        name = next(_names)
        address = await world.up(name, annotations=world.handler(source, name, CLASSIC))
        return [(await world.http.request(method, address)).text for method in ("GET", "POST", "GET")]

    assert shared.run(story(shared.world)) == ["GET 1 None\n", "POST 1 None\n", "GET 1 None\n"]


def test_time_limit_ends_the_call_and_what_it_started(shared: Shared) -> None:
    response = answer(shared, "import time\ndef handle(req):\n    time.sleep(60)", {"exec_timeout": "100ms"})

    assert response.status_code == 408
    assert response.text.startswith("Killed process.")


def test_standard_error_is_logged_where_it_is_not_wanted_in_the_answer(shared: Shared) -> None:
    async def story(world: World) -> str:
        name = next(_names)
        source = "import sys\ndef handle(req):\n    print('aside', file=sys.stderr)\n    return 'answer'"
        annotations = world.handler(source, name, CLASSIC)
        address = await world.up(name, env={"combine_output": "false"}, annotations=annotations)
        text = (await world.http.get(address)).text
        await world.log_says(FunctionRef("openfaas-fn", name), "aside")
        return text

    assert shared.run(story(shared.world)) == "answer\n"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("import no_such_module", "No module named 'no_such_module'", id="a missing module"),
        pytest.param("def handle(", "SyntaxError", id="a mistake"),
        pytest.param("x = 1", "no function handle", id="no handler"),
    ],
)
def test_handler_that_no_call_could_import_is_told_at_once(shared: Shared, source: str, words: str) -> None:
    async def story(world: World) -> None:
        name = next(_names)
        await world.provider.deploy(world.spec(name, annotations=world.handler(source, name, CLASSIC)))
        await world.log_says(FunctionRef("openfaas-fn", name), words)
        await world.provider.delete(FunctionRef("openfaas-fn", name))

    shared.run(story(shared.world))


@pytest.mark.parametrize(
    ("lang", "mode"),
    [
        *(
            (lang, Mode.CLASSIC)
            for lang in ("python3", "python3-debian", "Python3", "python3-slim", "python3.12", "python")
        ),
        *(
            (lang, Mode.PYTHON)
            for lang in ("python3-http", "python3-flask", "python3-http-debian", "python3-fastapi", "")
        ),
    ],
)
def test_template_decides_whether_calls_are_processes(lang: str, mode: Mode) -> None:
    settings, problems = config.read({"fprocess": "python3 index.py"}, "/h", lang)

    assert (settings.mode, problems) == (mode, ())

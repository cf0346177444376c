"""What a Python handler finds around it: files, modules, processes, threads and streams are as in its container."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.conftest import Shared
from tests.provider.process.world import World
from tests.watchdog.handlers import CLASSIC, FLASK, HTTP

_names = (f"around-{number}" for number in itertools.count())


def answer(
    shared: Shared,
    source: str,
    lang: str = HTTP,
    *,
    files: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
    **request: Any,
) -> httpx.Response:
    """Deploy a handler with these files beside it, call it once."""

    async def call(world: World) -> httpx.Response:
        name = next(_names)
        annotations = world.handler(source, name, lang)
        for place, text in (files or {}).items():
            file = world.folder / name / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        address = await world.up(name, env=env, annotations=annotations)
        path = request.pop("path", "/")
        return await world.http.request(**{"method": "POST", "url": address + path, **request})

    return shared.run(call(shared.world))


PAGE = {"pages/index.html": "<h1>index</h1>", "data.txt": "data"}


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("INDEX = open('function/pages/index.html').read()\ndef handle(*_): return INDEX", id="imported"),
        pytest.param("def handle(*_): return open('function/pages/index.html').read()", id="called"),
        pytest.param("def handle(*_): return open('./pages/index.html').read()", id="from the handler's own folder"),
        pytest.param(
            "from pathlib import Path\ndef handle(*_): return (Path(__file__).parent / 'pages/index.html').read_text()",
            id="beside the module",
        ),
        pytest.param(
            "import pkgutil\ndef handle(*_): return pkgutil.get_data('function', 'pages/index.html').decode()",
            id="as the package's",
        ),
        pytest.param(
            "import subprocess\ndef handle(*_): return subprocess.check_output(['cat', 'function/pages/index.html'])",
            id="by a child",
        ),
    ],
)
@pytest.mark.parametrize("lang", [HTTP, ""])
def test_handler_opens_its_files(shared: Shared, source: str, lang: str) -> None:
    assert answer(shared, source.replace("*_", "event, context"), lang, files=PAGE).text == "<h1>index</h1>"


def test_current_folder_can_be_written_to_and_is_the_replicas_own(shared: Shared) -> None:
    source = """
import os
def handle(event, context):
    with open("made.txt", "a") as made:
        made.write("x")
    return sorted(os.listdir()) + [open("made.txt").read()]
"""

    async def story(world: World) -> list[Any]:
        name = next(_names)
        address = await world.up(name, annotations=world.handler(source, name))
        first = (await world.http.get(address)).json()
        ref = FunctionRef("openfaas-fn", name)
        await world.scale(ref, 0)
        await world.until(ref, lambda seen: not seen.endpoints)
        await world.scale(ref, 1)
        ready = await world.ready(ref)
        return [first, (await world.http.get(f"http://127.0.0.1:{ready.endpoints[0].port}")).json()]

    first, second = shared.run(story(shared.world))

    assert first == second == [".packages", "function", "handler.py", "made.txt", "x"]


STANDARD = (
    "json",
    "types",
    "queue",
    "logging",
    "email",
    "http",
    "string",
    "random",
    "socket",
    "ssl",
    "asyncio",
    "time",
)


@pytest.mark.parametrize("lang", [HTTP, FLASK, CLASSIC])
def test_files_called_like_standard_modules_hide_none_and_are_found_in_the_package(shared: Shared, lang: str) -> None:
    source = f"""
import importlib
from function import queue as mine
from . import json as also_mine
import json, urllib.request, xml.dom.minidom, smtplib, decimal
NAMES = {STANDARD!r}
def handle(*_: None):
    standard = [name for name in NAMES if hasattr(importlib.import_module(name), "OWNER")]
    return json.dumps([mine.OWNER, also_mine.OWNER, standard])
""".replace("*_: None", "event, context" if lang == HTTP else "req")
    files = {f"{name}.py": "OWNER = 'the handler'\n" for name in STANDARD}

    assert answer(shared, source, lang, files=files).json() == ["the handler", "the handler", []]


@pytest.mark.parametrize("lang", [HTTP, CLASSIC])
def test_modules_beside_the_handler_are_imported_in_every_way(shared: Shared, lang: str) -> None:
    source = """
import near
import package.deep
from function import near as second
from function.package import deep
from .near import value
from . import near as third
import function.handler
from function.package.sub import leaf
def handle(*arguments):
    return " ".join([near.value, package.deep.value, second.value, deep.value, value, third.value, leaf.value])
""".replace("*arguments", "event, context" if lang == HTTP else "req")
    files = {
        "near.py": "value = 'near'",
        "package/__init__.py": "",
        "package/deep.py": "from .sub.leaf import value as leaf\nvalue = 'deep'",
        "package/sub/leaf.py": "value = 'leaf'",
    }

    assert answer(shared, source, lang, files=files).text.strip() == "near deep near deep near near leaf"


def test_package_may_have_an_initial_module(shared: Shared) -> None:
    files = {"__init__.py": "from .settings import NAME\n", "settings.py": "NAME = 'set'\n"}

    assert (
        answer(shared, "import function\ndef handle(event, context): return function.NAME", files=files).text == "set"
    )


MULTIPROCESSING = """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
def double(number):
    return number * 2, os.getpid()
def into(pipe):
    pipe.send("sent")
def handle(*_):
    METHODS
    return "done"
"""
USES = {
    "a pool": "with context.Pool(2) as pool: assert [found for found, _ in pool.map(double, [1, 2, 3])] == [2, 4, 6]",
    "an executor": "with ProcessPoolExecutor(2, context) as pool: assert pool.submit(double, 2).result()[0] == 4",
    "a process": (
        "ours, theirs = context.Pipe(); child = context.Process(target=into, args=(theirs,)); child.start(); "
        "assert ours.recv() == 'sent'; child.join(); assert child.exitcode == 0"
    ),
    "a terminated one": (
        "import time; child = context.Process(target=time.sleep, args=(60,)); child.start(); child.terminate(); "
        "child.join(); assert child.exitcode == -15, child.exitcode"
    ),
}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("lang", [HTTP, CLASSIC])
def test_multiprocessing(shared: Shared, method: str, lang: str) -> None:
    lines = [f"context = multiprocessing.get_context('{method}')", *USES.values()]
    arguments = "event, context_" if lang == HTTP else "req"
    source = MULTIPROCESSING.replace("*_", arguments).replace("METHODS", "\n    ".join(lines))

    response = answer(shared, source, lang)

    assert (response.status_code, response.text.strip()) == (200, "done")


def test_replica_goes_on_after_its_handlers_processes_ended(shared: Shared) -> None:
    source = """
import multiprocessing, os, signal, subprocess, sys, time
def handle(event, context):
    with multiprocessing.Pool(2) as pool:
        pool.map(abs, [1])
    if os.fork() == 0:
        sys.exit(0)
    child = subprocess.Popen(["sleep", "60"])
    child.terminate()
    return f"{os.getpid()} {child.wait()} {os.waitstatus_to_exitcode(os.wait()[1])}"
"""

    async def story(world: World) -> set[str]:
        name = next(_names)
        address = await world.up(name, annotations=world.handler(source, name))
        return {(await world.http.get(address)).text.partition(" ")[2] for _ in range(3)}

    assert shared.run(story(shared.world)) == {"-15 0"}


def test_answer_that_is_broken_off_ends_though_a_child_lives_on(shared: Shared) -> None:
    source = """
import multiprocessing, time
def pieces():
    yield "first"
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), daemon=True).start()
    raise KeyError("x")
def handle(event, context): return pieces()
"""
    with pytest.raises(httpx.RemoteProtocolError):
        answer(shared, source)


def test_child_that_returns_from_handle_ends_there(shared: Shared) -> None:
    source = """
import os
def handle(event, context):
    pid = os.fork()
    if pid == 0:
        return "from the child"
    return f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])} from the parent"
"""
    response = answer(shared, source)

    assert (response.status_code, response.text) == (200, "0 from the parent")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param(
            "import asyncio\nasync def found(): return 'at import'\nVALUE = asyncio.run(found())\n"
            "def handle(event, context): return VALUE",
            "at import",
            id="a loop at import",
        ),
        pytest.param(
            "import asyncio\nloop = asyncio.new_event_loop()\nasync def found(): return 'kept'\n"
            "def handle(event, context): return loop.run_until_complete(found())",
            "kept",
            id="a loop that is kept",
        ),
        pytest.param(
            "import asyncio\nasync def found(): return 'in a call'\n"
            "def handle(event, context): return asyncio.run(found())",
            "in a call",
            id="a loop for a call",
        ),
        pytest.param(
            "import asyncio\nasync def handle(event, context):\n    await asyncio.sleep(0)\n    return 'awaited'",
            "awaited",
            id="an async handler",
        ),
        pytest.param(
            "import asyncio\nasync def handle(event, context):\n"
            "    child = await asyncio.create_subprocess_exec('echo', 'x', stdout=-1)\n"
            "    out, _ = await child.communicate()\n    return f'{out.decode().strip()} {child.returncode}'",
            "x 0",
            id="an async child",
        ),
        pytest.param(
            "import signal\nheard = []\nsignal.signal(signal.SIGUSR1, lambda *_: heard.append(1))\n"
            "import os\ndef handle(event, context):\n    os.kill(os.getpid(), signal.SIGUSR1)\n"
            "    import time\n    for _ in range(500):\n        if heard: break\n        time.sleep(0.01)\n"
            "    return str(heard)",
            "[1]",
            id="a signal handler",
        ),
        pytest.param(
            "import sys\ndef handle(event, context): return repr(sys.stdin.read())", "''", id="standard input"
        ),
        pytest.param("import sys\ndef handle(event, context): return sys.argv", '["index.py"]\n', id="arguments"),
        pytest.param(
            "import argparse\nargparse.ArgumentParser().parse_args()\ndef handle(event, context): return 'parsed'",
            "parsed",
            id="a parser of arguments",
        ),
        pytest.param(
            "import locale, sys\n"
            "def handle(event, context): return locale.getpreferredencoding() + sys.stdout.encoding",
            "utf-8utf-8",
            id="encodings",
        ),
        pytest.param(
            "import threading\nstate = {}\n"
            "threading.Thread(target=state.update, args=({'x': 1},), daemon=True).start()\n"
            "def handle(event, context): return state",
            '{"x":1}\n',
            id="a thread from import",
        ),
        pytest.param(
            "import sqlite3\ndef handle(event, context):\n    db = sqlite3.connect(':memory:')\n"
            "    return (str(row[0]) for row in db.execute('select 1 union select 2'))",
            "12",
            id="a connection of its thread, in a stream",
        ),
        pytest.param(
            "import pickle\nclass Thing: pass\ndef handle(event, context):\n"
            "    return type(pickle.loads(pickle.dumps(Thing()))).__module__",
            "function.handler",
            id="pickles",
        ),
        pytest.param(
            "def handle(event, context): return __name__ + ' ' + __package__", "function.handler function", id="names"
        ),
    ],
)
def test_handler_that_uses(shared: Shared, source: str, text: str) -> None:
    response = answer(shared, source)

    assert (response.status_code, response.text.lower() if "utf" in text else response.text) == (200, text)


@pytest.mark.parametrize("call", ["os._exit(3)", "exec('os._exit(3)')"])
def test_call_that_ends_the_replica_is_answered_first(shared: Shared, call: str) -> None:
    response = answer(shared, f"import os\ndef handle(event, context): {call}")

    assert (response.status_code, response.headers["x-openfaas-internal"]) == (500, "of-watchdog")
    assert "ended its process" in response.text


def test_function_hears_that_it_is_to_end_when_its_calls_are_over(shared: Shared) -> None:
    source = """
import atexit, signal, sys
def end(number, frame):
    print("heard", number)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
atexit.register(print, "at the very end")
def handle(event, context): return "x"
"""

    async def story(world: World) -> None:
        name = next(_names)
        ref = FunctionRef("openfaas-fn", name)
        await world.up(name, annotations=world.handler(source, name))
        await world.scale(ref, 0)
        for part in ("heard 15", "at the very end"):
            await world.log_says(ref, part)

    shared.run(story(shared.world))


def test_log_lines_of_every_kind_are_in_the_log(shared: Shared) -> None:
    source = """
import logging, os, sys
logging.basicConfig(level=logging.INFO)
def handle(event, context):
    print("printed")
    sys.stdout.write("without line end")
    sys.stdout.flush()
    sys.stdout.write("\\n")
    logging.info("logged")
    os.write(2, b"written\\n")
    sys.stderr.write("to standard error\\n")
    return "ok"
"""

    async def story(world: World) -> None:
        name = next(_names)
        address = await world.up(name, annotations=world.handler(source, name))
        await world.http.get(address)
        for part in ("printed", "without line end", "INFO:root:logged", "written", "to standard error"):
            await world.log_says(FunctionRef("openfaas-fn", name), part)

    shared.run(story(shared.world))


@pytest.mark.parametrize(
    "closing",
    ["sys.stdout = sys.stderr = None", "sys.stderr.close()", "os.close(1); os.close(2)"],
    ids=["None", "closed", "gone"],
)
def test_call_that_fails_without_streams_is_answered(shared: Shared, closing: str) -> None:
    source = f"import os, sys\ndef handle(event, context):\n    {closing}\n    raise KeyError('x')"

    assert answer(shared, source).status_code == 500


def test_raw_body_decides_between_bytes_and_text(shared: Shared) -> None:
    source = "def handle(req): return f'{type(req).__name__} {len(req)}'"
    body = bytes(range(256)) * 2
    answers = [
        answer(shared, source, FLASK, env={"RAW_BODY": text} if text else None, content=body)
        for text in ("True", "1", "", "false")
    ]

    assert [(response.status_code, response.text) for response in answers[:2]] == [(200, "bytes 512")] * 2
    assert [response.status_code for response in answers[2:]] == [500, 500]
    assert "RAW_BODY" in answers[2].text


EVENT = """
import json
def handle(event, context):
    if event.path == "/mutate":
        event.body = json.loads(event.body)
        return event.body["a"]
    if event.path == "/list":
        return {"statusCode": 200, "body": json.dumps(event.query.getlist("id"))}
    if event.path == "/int":
        return str(event.query.get("page", default=1, type=int))
    if event.path == "/dict":
        return repr(event.__dict__) + repr(vars(context))
    if event.path == "/pairs":
        return {"statusCode": 200, "body": {name: value for name, value in event.headers}}
    return {"statusCode": 200, "body": dict(event.headers)}
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/mutate", "b"),
        ("/list?id=1&id=2", '["1", "2"]'),
        ("/int?page=3", "3"),
        ("/dict", "{'body': b'{\"a\":\"b\"}'"),
        ("/pairs", '"User-Agent":"'),
        ("/names", '"Content-Length":"9"'),
    ],
)
def test_event_is_a_plain_object_with_flasks_methods(shared: Shared, path: str, expected: str) -> None:
    response = answer(shared, EVENT, path=path, content=b'{"a":"b"}')

    assert response.status_code == 200
    assert expected in response.text

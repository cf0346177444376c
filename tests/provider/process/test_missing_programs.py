"""What a function's command names and this machine cannot run: refused when deployed, told at once when gone since."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from springtide.provider.process import executable
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.world import World, url

REF = FunctionRef("openfaas-fn", "fn")
RESTARTS = ("provider_replica_restarts_total", {"function_name": str(REF)})
PYTHON = Path(sys.executable).resolve().read_bytes()


def with_loader(program: bytes, loader: bytes) -> bytes:
    """The same program, to be loaded by another C library's loader."""
    start, count = struct.unpack_from("<Q", program, 32)[0], struct.unpack_from("<H", program, 56)[0]
    for at in range(start, start + 56 * count, 56):
        if struct.unpack_from("<I", program, at)[0] == 3:
            offset, length = struct.unpack_from("<Q", program, at + 8)[0], struct.unpack_from("<Q", program, at + 32)[0]
            return program[:offset] + loader.ljust(length, b"\0")[:length] + program[offset + length :]
    pytest.skip("this Python has no loader")


CONTENTS = [
    pytest.param(b"", "is empty", id="nothing"),
    pytest.param(b"#!/nope/python\nprint(1)\n", "'#!/nope/python', and there is no program", id="no interpreter"),
    pytest.param(b"#!/usr/bin/env nope3\n", "and there is no program 'nope3' on PATH", id="no interpreter by env"),
    pytest.param(b"#!/usr/bin/env -S nope3 -u\n", "and there is no program 'nope3'", id="none, with arguments"),
    pytest.param(b"#!/usr/bin/env python3 -u\n", "no program 'python3 -u'", id="arguments without -S"),
    pytest.param(b"#!/bin/sh\r\necho\r\n", "carriage return", id="Windows line ends"),
    pytest.param(b"#!\necho\n", "names no interpreter", id="no name"),
    pytest.param(b"#!/etc\n", "/etc is a folder", id="a folder for an interpreter"),
    pytest.param(b"echo hello\n", "neither a program", id="a script without its first line"),
    pytest.param(b"\x7fELF", "is damaged", id="four bytes of a program"),
    pytest.param(PYTHON[:200], "is damaged", id="200 bytes of a program"),
    pytest.param(b"\x7fELF" + bytes(300), "is damaged", id="nothing after the first bytes"),
    pytest.param(with_loader(PYTHON, b"/lib/ld-musl.so"), "built for another C library", id="another C library"),
]


def runs(file: Path) -> bool:
    """As the kernel has it, and env, which exits with 127 for what it does not find."""
    try:
        return subprocess.run([file, "-V"], check=False, capture_output=True, timeout=60).returncode < 126
    except OSError:
        return False


@pytest.mark.parametrize(("content", "why"), CONTENTS)
def test_what_the_kernel_will_not_run_is_known_before(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "program"
    file.write_bytes(content)
    file.chmod(0o755)
    assert not runs(file), "the kernel is asked, too"
    assert why in executable.why_not(str(file), os.environ["PATH"])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"#!/bin/sh\n", id="a script"),
        pytest.param(b"#! /usr/bin/env  sh\n", id="by env"),
        pytest.param(b"#!/usr/bin/env -S A=1 sh -e\n", id="by env with more"),
        pytest.param(b"#!/bin/sh", id="one line without its end"),
        pytest.param(PYTHON, id="a program"),
    ],
)
def test_what_the_kernel_runs_is_not_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "program"
    file.write_bytes(content)
    file.chmod(0o755)
    assert runs(file)
    assert executable.why_not(str(file), os.environ["PATH"]) == ""
    assert executable.why_not("program", f"{tmp_path}:{os.environ['PATH']}") == ""
    assert executable.why_not("./program", os.environ["PATH"], tmp_path) == ""


def test_interpreter_beside_a_script_may_be_there(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_text("#!bin/mine\n")
    file.chmod(0o755)
    assert executable.why_not(str(file), "/usr/bin:/bin") == ""


def test_programs_of_this_machine_are_not_refused() -> None:
    # Some scripts are installed without their interpreter.
    files = [file for file in Path("/usr/bin").iterdir() if file.is_file() and file.read_bytes()[:4] == b"\x7fELF"]
    refused = {file.name: why for file in files if (why := executable.why_not(str(file), "/usr/bin:/bin"))}
    assert len(files) > 50
    assert refused == {}


@pytest.mark.parametrize(("content", "why"), CONTENTS[:2])
async def test_program_that_cannot_run_is_refused_when_deployed(world: Any, content: bytes, why: str) -> None:
    async with world() as here:
        file = program(here)
        file.write_bytes(content)
        with pytest.raises(BadInput, match=f"fprocess: .*{why}"):
            await here.provider.deploy(here.spec("fn", str(file)))


def program(here: World) -> Path:
    file = here.folder / "program"
    shutil.copy("/bin/cat", file)
    return file


def folder(here: World, *, of: str) -> Path:
    place = here.folder / of
    place.mkdir()
    return place


def with_program(here: World) -> tuple[dict[str, Any], Path]:
    return {"command": str(program(here))}, program(here)


def with_interpreter(here: World) -> tuple[dict[str, Any], Path]:
    script = here.folder / "script"
    script.write_text(f"#!{program(here)}\n")
    script.chmod(0o755)
    return {"command": str(script)}, program(here)


def with_script(here: World) -> tuple[dict[str, Any], Path]:
    script = here.folder / "script.sh"
    script.write_text("cat")
    return {"command": f"sh {script}"}, script


def with_site(here: World) -> tuple[dict[str, Any], Path]:
    site = folder(here, of="site")
    return {"env": {"mode": "static", "static_path": str(site)}}, site


def with_handler(here: World) -> tuple[dict[str, Any], Path]:
    annotations = here.handler("def handle(body):\n    return body\n")
    return {"annotations": annotations}, here.folder / "handler-folder" / "handler.py"


def deployed(here: World) -> Path:
    """The copy of the handler that runs, in a folder that lets it be taken away."""
    (file,) = (here.state_dir / "code").glob("*/handler.py")
    file.parent.chmod(0o700)
    return file


KINDS = [with_program, with_interpreter, with_script, with_site, with_handler]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_gone_since_is_told_at_once_and_its_return_is_seen(
    world: Any, kind: Callable[[World], tuple[dict[str, Any], Path]]
) -> None:
    async with world() as here:
        what, file = kind(here)
        await here.up("fn", **what)
        if kind is with_handler:
            file = deployed(here)
        await here.scale(REF, 0)
        await here.until(REF, lambda seen: not seen.endpoints)
        away = file.rename(file.with_name("away"))

        await here.scale(REF, 1)

        seen = await here.until(REF, lambda seen: seen.problem)
        assert seen.lasting, "nobody need wait"
        assert "there is no" in seen.problem
        assert (await here.provider.status(REF)).problem == seen.problem
        assert "no replica can be started" in await here.log_says(REF, "there is no")
        assert here.registry.get_sample_value(*RESTARTS) == 0, "none has died"

        away.rename(file)

        back = await here.until(REF, lambda seen: seen.endpoints)
        assert (back.problem, back.lasting) == (None, False)
        assert (await here.http.post(url(back), content=b"x")).status_code < 500


async def test_interpreter_that_is_gone_since_is_told_at_once_and_its_return_is_seen(world: Any) -> None:
    async with world() as here:
        what, _ = with_handler(here)
        await here.up("fn", **what)
        await here.scale(REF, 0)
        await here.until(REF, lambda seen: not seen.endpoints)
        (folder,) = (here.state_dir / "environments").iterdir()
        away = folder.rename(here.folder / "away")

        await here.scale(REF, 1)

        seen = await here.until(REF, lambda seen: seen.problem)
        assert seen.lasting
        assert "interpreter" in seen.problem
        away.rename(folder)
        await here.until(REF, lambda seen: seen.endpoints and not seen.problem)


async def test_what_is_gone_is_told_after_a_restart_of_the_provider_too(world: Any) -> None:
    async with world() as here:
        what, _ = with_handler(here)
        await here.up("fn", **what)
        file = deployed(here)
    away = file.rename(file.with_name("away"))

    async with world() as here:
        assert "no handler.py" in ((await here.until(REF, lambda seen: seen.problem)).problem or "")
        away.rename(file)
        await here.until(REF, lambda seen: seen.endpoints)


async def test_function_that_goes_to_zero_has_no_missing_program(world: Any) -> None:
    async with world() as here:
        what, file = with_program(here)
        await here.up("fn", **what)
        await here.scale(REF, 0)
        await here.until(REF, lambda seen: not seen.endpoints)
        file.unlink()
        await here.scale(REF, 1)
        await here.until(REF, lambda seen: seen.problem)

        await here.scale(REF, 0)

        gone = await here.until(REF, lambda seen: not seen.problem)
        assert not gone.lasting

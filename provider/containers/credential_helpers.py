"""The operator's logins: in Docker's ``config.json``, or kept by the programs that it names.

``credHelpers`` names one for a registry, ``credsStore`` one for all; either is ``docker-credential-NAME``, which is
told a registry on its standard input and answers with a user and a password.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from springtide.provider.containers.registry_login import (
    DOCKER_HUB,
    HUB_ADDRESS,
    Login,
    logins_of,
    normal_registry,
    parsed,
)
from springtide.runtime.files import read_whole
from springtide.runtime.processes import die_with_parent, readable

CONFIG = "config.json"
DEADLINE_S = 30.0
"""For a helper's answer: some ask a server for a password that lasts an hour."""
MAX_ANSWER_BYTES, MAX_SHOWN = 64 << 10, 200
NOT_FOUND = "credentials not found"
"""What helpers say of a registry that nobody logged in at."""
FOR_TOKENS = "<token>"
_NAME = re.compile(r"[A-Za-z0-9._-]+")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """A login, or why there is none where there should be one: a sentence with its key and a remedy."""

    login: Login | None = None
    problem: str = ""


class CredentialHelpers:
    """``folder`` is Docker's; ``operator`` the environment in which helpers run, and on whose PATH they are."""

    def __init__(self, folder: Path, operator: Mapping[str, str]) -> None:
        self._file, self._operator = folder / CONFIG, operator

    def __repr__(self) -> str:
        return f"<CredentialHelpers of {self._file}>"

    async def login(self, registry: str) -> Found:
        """As Docker finds it: by the registry's helper, by the one for all, or in the file."""
        try:
            text = await asyncio.to_thread(read_whole, self._file)
        except FileNotFoundError:
            return Found()
        except OSError as error:
            return self._unread(registry, str(error.strerror))
        config = parsed(text)
        if text.strip() and not isinstance(config, dict):
            return self._unread(registry, "no JSON object")
        key, helper = _helper(config, registry)
        found = await self._asked(registry, key, helper) if helper else Found()
        if found.login is not None:
            return found
        written = next((login for login in logins_of(text) if login.registry == registry), None)
        if written is None and found.problem:
            _log.warning("a credential helper has no answer", registry=registry, why=found.problem)
        return Found(written) if written is not None else found

    def _unread(self, registry: str, why: str) -> Found:
        problem = f"{self._file} cannot be read ({why}); mend it, or move it away and run: docker login {registry}"
        _log.warning("the logins at registries are not known", registry=registry, why=problem)
        return Found(problem=problem)

    async def _asked(self, registry: str, key: str, helper: str) -> Found:
        try:
            return Found(await self._answer(f"docker-credential-{helper}", registry))
        except _Amiss as error:
            said = f"{self._file}: {key}={helper[:MAX_SHOWN]!r}: {error}"
            return Found(problem=f"{said}, or take {key} out and run: docker login {registry}")

    async def _answer(self, program: str, registry: str) -> Login | None:
        """None where nobody logged in. Raises _Amiss with what is wrong and how to mend it."""
        named = program[:MAX_SHOWN]
        path = shutil.which(program, path=self._operator.get("PATH", "")) if _NAME.fullmatch(program) else None
        if path is None:
            raise _Amiss(f"there is no program {named} on PATH; install it")
        try:
            async with asyncio.timeout(DEADLINE_S):
                status, said = await _run(path, HUB_ADDRESS if registry == DOCKER_HUB else registry, self._operator)
        except TimeoutError as error:
            raise _Amiss(f"{named} did not answer within {DEADLINE_S:g} s; run it by hand") from error
        except ValueError as error:
            raise _Amiss(f"{named} answers {error}, which is no login; run it by hand") from error
        except OSError as error:
            raise _Amiss(f"{named} cannot be run ({error.strerror}); install it anew") from error
        if status == 0:
            return _login(registry, parsed(said), named)
        told = said.decode(errors="replace").strip()
        if NOT_FOUND in told.lower():
            return None
        raise _Amiss(f"{named} failed for {registry} ({told[:MAX_SHOWN]!r}); run it by hand")


class _Amiss(Exception):
    pass


def _helper(config: Any, registry: str) -> tuple[str, str]:
    """Which key of the file says which helper the registry has; nothing where none does."""
    if not isinstance(config, dict):
        return "", ""
    own = config.get("credHelpers")
    for name, helper in own.items() if isinstance(own, dict) else ():
        if normal_registry(str(name)) == registry and helper:
            return f"credHelpers.{name}", str(helper)
    return ("credsStore", str(config["credsStore"])) if config.get("credsStore") else ("", "")


def _login(registry: str, value: Any, program: str) -> Login:
    """As helpers answer: a user of that name means that what comes with it is a token."""
    if not isinstance(value, dict) or not value.get("Secret"):
        raise _Amiss(f"what {program} answers for {registry} is no login; run it by hand")
    user, secret = str(value.get("Username") or ""), str(value["Secret"])
    return Login(registry, "", "", token=secret) if user == FOR_TOKENS else Login(registry, user, secret)


async def _run(path: str, server: str, environ: Mapping[str, str]) -> tuple[int, bytes]:
    """Its status and what it wrote. Raises OSError, and ValueError where it writes too much.

    The pipe is ours: for one of its own asyncio waits until all have closed it, also those that the helper started.
    """
    output, its_output = os.pipe()
    try:
        os.set_blocking(output, False)
        try:
            process = await asyncio.create_subprocess_exec(
                path,
                "get",
                env=dict(environ),
                stdin=asyncio.subprocess.PIPE,
                stdout=its_output,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        finally:
            os.close(its_output)
        assert process.stdin is not None
        try:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(server.encode())
                process.stdin.close()
            said = await _bounded(output)
            return await process.wait(), said
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
    finally:
        os.close(output)


async def _bounded(output: int) -> bytes:
    said = b""
    while len(said) <= MAX_ANSWER_BYTES:
        await readable(output)
        if not (data := os.read(output, MAX_ANSWER_BYTES)):
            return said
        said += data
    raise ValueError(f"more than {MAX_ANSWER_BYTES >> 10} KiB")

"""Parts as processes: flags made from settings, and holds told to the provider."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from springtide.cli import parts, ports
from springtide.cli.parts import cron
from springtide.cli.parts.hold_reporter import GATHER_S, HoldReporter
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.cli.ports import PortClaims
from springtide.idler.settings import IdlerSettings
from springtide.provider.api import ProviderApiDeps, ProviderApiSettings, build
from springtide.provider.memory import MemoryProvider
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.settings import SettingsError, boolean, declared, duration, integer, setting
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire.provider_client import ProviderClient

ROOT = Path(__file__).parents[2]
CREDENTIALS = Credentials("admin", "s3cret")


@dataclass(frozen=True, kw_only=True)
class Engine:
    rest_s: float = setting(90.0, env="engine_rest", kind=duration, low=1, help="pause")
    port: int = setting(8080, env="port", kind=integer, help="port")
    loud: bool = setting(default=False, env="loud", kind=boolean, help="noise")


@dataclass(frozen=True, kw_only=True)
class Cabin:
    folder: str
    port: int = setting(9090, env="cabin_port", kind=integer, low=0, help="another port")


ENGINE, CABIN = Section(Engine), Section(Cabin, prefix="cabin")


@click.command()
@settings_options(ENGINE, CABIN)
@click.pass_obj
def machine(environ: dict[str, str], /, **given: object) -> None:
    refuse(ENGINE.problems(environ, given), CABIN.problems(environ, given, folder="f"))
    click.echo(repr((ENGINE.read(environ, given), CABIN.read(environ, given, folder="f"))))


def run(*words: str, **environ: str) -> str:
    result = CliRunner().invoke(machine, words, obj=environ)
    if isinstance(result.exception, SettingsError):
        return "\n".join(result.exception.problems)
    assert result.exit_code == 0, result
    return result.output.strip()


@pytest.mark.parametrize(
    ("words", "environ", "settings"),
    [
        pytest.param((), {}, (Engine(), Cabin(folder="f")), id="defaults"),
        pytest.param((), {"engine_rest": "2m"}, (Engine(rest_s=120.0), Cabin(folder="f")), id="environment"),
        pytest.param(
            ("--rest", "3s"), {"engine_rest": "2m"}, (Engine(rest_s=3.0), Cabin(folder="f")), id="a flag wins"
        ),
        pytest.param(
            ("--port", "1", "--cabin-port", "2"),
            {},
            (Engine(port=1), Cabin(folder="f", port=2)),
            id="flags of the same name are told apart",
        ),
        pytest.param(("--loud",), {}, (Engine(loud=True), Cabin(folder="f")), id="switched on"),
        pytest.param(("--no-loud",), {"loud": "true"}, (Engine(), Cabin(folder="f")), id="switched off"),
    ],
)
def test_settings_come_from_flags_then_environment_then_defaults(
    words: tuple[str, ...], environ: dict[str, str], settings: tuple[Engine, Cabin]
) -> None:
    assert run(*words, **environ) == repr(settings)


def test_problems_of_all_settings_are_told_at_once_by_flag_or_variable() -> None:
    told = run("--rest", "0s", "--cabin-port", "-1", loud="maybe")

    assert told.splitlines() == [
        "--rest: 0 is out of range; it must be at least 1",
        "loud: 'maybe' is neither true nor false",
        "--cabin-port: -1 is out of range; it must be at least 0",
    ]


def test_help_names_flag_unit_variable_and_default() -> None:
    text = CliRunner().invoke(machine, ["--help"], terminal_width=200).output

    assert "--rest DURATION       pause  [env: engine_rest; default: 1m30s]" in text
    assert "--loud / --no-loud    noise  [env: loud; default: false]" in text
    assert "--cabin-port INTEGER  another port  [env: cabin_port; default: 9090]" in text


def test_every_part_shows_its_settings_in_its_help(terminal: Any) -> None:
    text = terminal("idler", "--help").out

    assert all(item in text for item in ("--sweep", "reconcile_interval", "--secret-mount-path"))
    assert Section(IdlerSettings).read({}, {}) == IdlerSettings()


def test_part_with_bad_settings_tells_them_all_and_does_not_start(terminal: Any) -> None:
    outcome = terminal("idler", "--sweep", "0s", "--port", "many")

    assert outcome.status == 1
    assert outcome.err == (
        "springtide: --sweep: 0 is out of range; it must be at least 0.1\n--port: 'many' is not a whole number\n"
    )


def test_part_without_credentials_says_which_files_it_needs() -> None:
    words = [sys.executable, "-m", "springtide.cli", "idler", "--secret-mount-path", "/nonexistent", "--port", "0"]

    result = subprocess.run(words, cwd=ROOT, env={}, capture_output=True, text=True, timeout=60, check=False)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "springtide: /nonexistent/basic-auth-user: No such file or directory; "
        "the folder must hold basic-auth-user and basic-auth-password\n"
    )


REF = FunctionRef("openfaas-fn", "echo")


def decision(reason: Reason, *, after: int = 1, at: float = 0.0) -> Decision:
    return Decision(REF, Writer.IDLER, 1, after, reason, "as the test has it", Instant(at))


async def told(url: str) -> list[str]:
    """Reasons the provider keeps for the function now."""
    async with httpx.AsyncClient(base_url=url, auth=(CREDENTIALS.user, CREDENTIALS.password)) as http:
        text = (await http.get("/system/scaling/decisions", params={"function": str(REF)})).text
    return [json.loads(line)["reason"] for line in text.splitlines()]


@asynccontextmanager
async def reporting(port: int) -> AsyncIterator[HoldReporter]:
    client = ProviderClient(f"http://127.0.0.1:{port}", CREDENTIALS)
    holds = HoldReporter(client)
    await holds.start()
    try:
        async with asyncio.timeout(60):
            yield holds
    finally:
        await holds.stop()
        await client.aclose()


@asynccontextmanager
async def provider(port: int) -> AsyncIterator[str]:
    deps = ProviderApiDeps(provider=MemoryProvider(), credentials=CREDENTIALS)
    api = build(ProviderApiSettings(port=port), deps)
    await api.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await api.stop()


async def test_holds_are_told_once_for_each_reason_and_changes_not_at_all() -> None:
    async def story() -> list[str]:
        port = ports.free("127.0.0.1", PortClaims())
        async with provider(port) as url, reporting(port) as holds:
            for reason in (Reason.TOO_YOUNG, Reason.TOO_YOUNG, Reason.RECENTLY_ACTIVE, Reason.TOO_YOUNG):
                holds.record(decision(reason))
            holds.record(decision(Reason.IDLE, after=0))
            holds.record(decision(Reason.NO_DATA))
            while "no_data" not in (reasons := await told(url)):  # noqa: ASYNC110 - told over HTTP
                await asyncio.sleep(0.02)
            return reasons

    assert await story() == ["too_young", "recently_active", "too_young", "no_data"]


async def test_holds_that_could_not_be_told_wait_for_the_provider_to_be_back() -> None:
    async def story() -> list[str]:
        port = ports.free("127.0.0.1", PortClaims())
        async with reporting(port) as holds:
            holds.record(decision(Reason.WRITE_FAILED))
            await asyncio.sleep(2 * GATHER_S)
            holds.record(decision(Reason.IN_FLIGHT))
            async with provider(port) as url:
                while not (reasons := await told(url)):  # noqa: ASYNC110 - told over HTTP
                    await asyncio.sleep(0.02)
                return reasons

    assert await story() == ["write_failed", "in_flight"]


@pytest.mark.parametrize("words", [pytest.param(["--help"], id="the help"), pytest.param(["--version"], id="a line")])
def test_output_that_cannot_be_written_is_one_sentence(words: list[str]) -> None:
    """Buffered, so that a short text fails at the end only."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "springtide.cli", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, "springtide: cannot write: No space left on device\n")


async def test_part_that_sends_ticks_also_wakes_ahead_of_them(tmp_path: Path) -> None:
    environ = {"basic_auth": "false", "cron_state_dir": str(tmp_path)}

    async with cron.assembled(environ, cron.cron.make_context("cron", [], obj=environ).params) as services:
        assert [service.name for service in services][-3:] == ["cron", "hold-reporter", "pre-warming"]


@pytest.mark.parametrize("part", [module.name for module in pkgutil.iter_modules(parts.__path__)])
def test_default_that_help_shows_is_what_a_person_would_write(part: str) -> None:
    module = importlib.import_module(f"{parts.__name__}.{part}")
    sections = [value for value in vars(module).values() if isinstance(value, Section)]
    shown = [item for section in sections for item in declared(section.cls) if item.shown_default]

    assert [(item.flag, item.kind(item.shown_default)) for item in shown] == [
        (item.flag, item.default) for item in shown
    ]

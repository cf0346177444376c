"""The processes of a local suite: who starts before whom, what they are told, and what the alert path reads."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from springtide.cli import processes
from springtide.cli.addresses import Addresses
from springtide.cli.nats_server import NatsServer
from springtide.cli.processes import Plan
from springtide.cli.runtimes import CHOICES
from springtide.cli.state import StateFolder
from springtide.cli.tools import Tools
from springtide.runtime.child_process import Child
from springtide.runtime.settings import SettingsError

AT = Addresses(
    host="0.0.0.0",
    gateway=1080,
    metrics=1082,
    provider=1081,
    alert_receiver=1083,
    idler=1084,
    console=1085,
    scaler=1086,
    queue_worker=8087,
    cron=8088,
    prometheus=1090,
    alertmanager=1093,
    nats=1422,
    nats_monitoring=1822,
)
TOOLS = Tools(Path("/t/prometheus"), Path("/t/promtool"), Path("/t/alertmanager"), Path("/t/amtool"))


NATS = NatsServer(Path("/t/nats-server"), "2.12.0")


def stages(tmp_path: Path, tools: Tools | None = TOOLS, **options: Any) -> list[list[Child]]:
    given: dict[str, Any] = {"state": StateFolder(tmp_path), "addresses": AT, "tools": tools, "environ": {}}
    return processes.stages(Plan(**given | options))


def child(tmp_path: Path, name: str, **options: Any) -> Child:
    return next(child for stage in stages(tmp_path, **options) for child in stage if child.name == name)


def test_functions_are_kept_from_every_port_but_the_gateways(tmp_path: Path) -> None:
    words = child(tmp_path, "provider").command
    closed = words[words.index("--function-closed-ports") + 1].split(",")

    every = {str(port) for name, port in asdict(AT).items() if name not in ("host", "gateway")}
    assert set(closed) == every


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        pytest.param(
            TOOLS,
            [
                ["provider", "gateway"],
                ["alert-receiver", "scaler", "cron", "console", "idler", "alertmanager", "prometheus"],
            ],
            id="everything",
        ),
        pytest.param(
            None,
            [["provider", "gateway"], ["alert-receiver", "scaler", "cron", "console"]],
            id="without the alert path",
        ),
    ],
)
def test_what_answers_calls_starts_before_what_scales(
    tmp_path: Path, tools: Tools | None, names: list[list[str]]
) -> None:
    assert [[child.name for child in stage] for stage in stages(tmp_path, tools, separate=True)] == names
    assert [[name for child in stage for name in child.names] for stage in stages(tmp_path, tools)] == names


def test_broker_starts_beside_the_gateway_which_is_told_of_it(tmp_path: Path) -> None:
    answering, _ = stages(tmp_path, broker=NATS)

    assert [part.name for part in answering] == ["provider", "gateway", "nats"]
    assert not answering[2].vital, "calls need none"
    assert answering[2].command == ("/t/nats-server", "--config", str(tmp_path / "nats" / "nats-server.conf"))
    told = child(tmp_path, "gateway", broker=NATS).command
    assert told[told.index("--nats-url") + 1] == "nats://127.0.0.1:1422"
    assert told[told.index("--nats-credentials-path") + 1] == str(tmp_path / "secrets")
    assert "--nats-url" not in child(tmp_path, "gateway").command


@pytest.mark.parametrize("provider", ["containers", "process,containers"])
def test_provider_of_containers_has_its_folder_and_what_becomes_of_them_at_the_end(
    tmp_path: Path, provider: str
) -> None:
    command = child(tmp_path, "provider", runtimes=CHOICES[provider], at_stop="keep").command
    folder = "--container-data-dir" if provider == "process,containers" else "--data-dir"

    assert command[command.index(folder) + 1] == str(tmp_path / "containers")
    assert command[command.index("--container-at-stop") + 1] == "keep"


def test_provider_of_both_has_all_that_one_of_processes_has(tmp_path: Path) -> None:
    alone, both = (
        child(tmp_path, "provider", runtimes=CHOICES[provider]) for provider in ("process", "process,containers")
    )

    added = [word for word in both.command if word not in alone.command]
    assert added == ["routing-provider", "--container-data-dir", str(tmp_path / "containers")]
    assert (both.grace_s, both.end_rest is None) == (alone.grace_s, alone.end_rest is None)


def test_console_tells_of_what_was_set_aside_in_the_suites_own_folder(tmp_path: Path) -> None:
    console = child(tmp_path, "console", separate=True).command

    assert console[console.index("--state-dir") + 1] == str(tmp_path)


def test_queue_worker_reads_the_brokers_own_port_and_is_asked_by_the_console_and_scraped(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    with state.held():
        state.credentials()
        for broker in (None, NATS):
            processes.write_configuration(Plan(state=state, addresses=AT, tools=TOOLS, environ={}, broker=broker))
            scraped = "127.0.0.1:8087" in (state.alerting / "prometheus.yml").read_text()
            assert scraped is (broker is not None), "what is not there would count as down"
    told = child(tmp_path, "queue-worker", separate=True, broker=NATS).command
    anothers = child(tmp_path, "queue-worker", separate=True, environ={"nats_url": "nats://elsewhere"}).command
    console = child(tmp_path, "console", separate=True, broker=NATS).command
    users = child(tmp_path, "queue-worker", separate=True, broker=NATS, environ={"ack_wait": "1m"}).command

    assert told[told.index("--ack-wait") + 1] == "10s"
    assert "--ack-wait" not in users, "a flag would stand in the way of what the user says"
    assert told[told.index("--nats-monitoring-url") + 1] == "http://127.0.0.1:1822"
    assert "--nats-monitoring-url" not in anothers
    assert console[console.index("--queue-worker-url") + 1] == "http://127.0.0.1:8087"
    assert "--queue-worker-url" not in child(tmp_path, "console", separate=True).command


def test_calls_of_the_queue_worker_may_end_in_the_shared_process(tmp_path: Path) -> None:
    worker = child(tmp_path, "queue-worker", broker=NATS, separate=True)

    assert child(tmp_path, "control", broker=NATS).grace_s == worker.grace_s > child(tmp_path, "control").grace_s


def test_control_parts_share_a_process_and_keep_their_words_and_logs(tmp_path: Path) -> None:
    apart = {part.name: part for stage in stages(tmp_path, separate=True) for part in stage}
    shared = child(tmp_path, "control")

    for name in ("alert-receiver", "scaler", "cron", "console", "idler"):
        assert " ".join(apart[name].forked) in " ".join(shared.command)
        assert apart[name].log in shared.logs
        with pytest.raises(StopIteration):
            child(tmp_path, name)


def test_fork_runs_the_same_words_as_the_program(tmp_path: Path) -> None:
    ours = [part for stage in stages(tmp_path) for part in stage if part.forked]

    assert {part.name for part in ours} == {"provider", "gateway", "control"}
    for part in ours:
        assert part.command == (*processes.SPRINGTIDE, *part.forked)


def test_public_listener_stops_first_and_with_it_who_reads_a_stream_through_it(tmp_path: Path) -> None:
    def first(**options: Any) -> list[str]:
        return [child.name for stage in stages(tmp_path, **options) for child in stage if child.stops_first]

    assert first() == ["gateway", "control"]
    assert first(separate=True) == ["gateway", "scaler", "cron", "console"]


def test_gateway_alone_listens_where_the_user_said(tmp_path: Path) -> None:
    hosts = {
        child.name: child.command[child.command.index("--host") + 1]
        for stage in stages(tmp_path, separate=True)
        for child in stage
        if "--host" in child.command
    }

    assert hosts.pop("gateway") == "0.0.0.0"
    assert set(hosts.values()) == {"127.0.0.1"}


def test_secrets_are_named_by_folder_and_never_on_a_command_line(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    with state.held():
        password = state.credentials().password

    for stage in stages(tmp_path):
        for part in stage:
            assert password not in " ".join(part.command)


@pytest.mark.parametrize(
    ("environ", "file"),
    [
        pytest.param({}, "secrets/payload-secret", id="ours"),
        pytest.param({"payload_secret": "/etc/builds/secret"}, "/etc/builds/secret", id="another"),
    ],
)
def test_provider_is_told_which_secret_signs_builds(tmp_path: Path, environ: dict[str, str], file: str) -> None:
    command = child(tmp_path, "provider", environ=environ).command

    assert command[command.index("--payload-secret") + 1] == str(tmp_path / file)


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        pytest.param({"fast": True}, {"--sweep", "--inactivity", "--stale-after", "--settle"}, id="fast"),
        pytest.param({"dry_run": True}, {"--dry-run"}, id="dry run"),
        pytest.param({}, set(), id="as usual"),
    ],
)
def test_idler_gets_the_options_of_the_suite(tmp_path: Path, options: dict[str, bool], flags: set[str]) -> None:
    given = {word for word in child(tmp_path, "idler", separate=True, **options).command if word.startswith("--")}

    always = {
        "--monitoring-secret-path",
        "--host",
        "--port",
        "--provider-url",
        "--prometheus-url",
        "--gateway-metrics-urls",
        "--gateway-urls",
    }
    assert given - always - {"--basic-auth", "--secret-mount-path"} == flags


@pytest.mark.parametrize(
    ("fast", "interval"), [pytest.param(False, "5s", id="as usual"), pytest.param(True, "1s", id="fast")]
)
def test_alert_receiver_steps_at_the_pace_of_the_deliveries(tmp_path: Path, fast: bool, interval: str) -> None:
    command = child(tmp_path, "alert-receiver", separate=True, fast=fast).command

    assert command[command.index("--step-interval") + 1] == interval


def test_gateway_cuts_no_call_that_the_queue_worker_still_waits_for(tmp_path: Path) -> None:
    def grace(environ: dict[str, str], broker: NatsServer | None = NATS) -> tuple[str, float]:
        gateway = child(tmp_path, "gateway", broker=broker, environ=environ)
        return gateway.command[gateway.command.index("--grace") + 1], gateway.grace_s - processes.MARGIN_S

    assert grace({}) == ("30s", 30.0)
    assert grace({"queue_worker_grace": "2m"}) == ("2m", 120.0)
    assert grace({"queue_worker_grace": "2m", "grace": "5s"}) == ("5s", 5.0)
    assert grace({"queue_worker_grace": "1s"}) == grace({}, broker=None) == ("10s", 10.0)


def test_part_is_not_killed_before_its_own_grace_is_over(tmp_path: Path) -> None:
    assert child(tmp_path, "gateway", environ={"grace": "2m"}).grace_s == 120 + processes.MARGIN_S
    assert child(tmp_path, "provider", environ={"function_grace": "3m"}).grace_s == 180 + processes.MARGIN_S


def test_bad_setting_in_the_environment_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="grace: 'long' is not a duration"):
        stages(tmp_path, environ={"grace": "long"})


def test_configuration_names_every_listener_and_the_password_by_its_file(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    with state.held():
        password = state.credentials().password
        processes.write_configuration(Plan(state=state, addresses=AT, tools=TOOLS, environ={}))

    prometheus = yaml.safe_load((state.alerting / "prometheus.yml").read_text())
    jobs = {job.pop("job_name"): job for job in prometheus["scrape_configs"]}
    connectors = jobs.pop("connector")["file_sd_configs"][0]["files"]
    targets = {name: job["static_configs"][0]["targets"] for name, job in jobs.items()}
    alertmanager = (state.alerting / "alertmanager.yml").read_text()
    assert targets == {
        "gateway": ["127.0.0.1:1082"],
        "provider": ["127.0.0.1:1081"],
        "alert-receiver": ["127.0.0.1:1083"],
        "cron": ["127.0.0.1:8088"],
        "idler": ["127.0.0.1:1084"],
        "scaler": ["127.0.0.1:1086"],
        "console": ["127.0.0.1:1085"],
        "prometheus": ["127.0.0.1:1090"],
    }
    assert connectors == [f"{state.connectors}/*.json"]
    assert state.connectors.is_dir(), "Prometheus watches it from its start"
    assert "http://127.0.0.1:1083/system/alert" in alertmanager
    assert str(state.secrets / "basic-auth-password") in alertmanager
    assert password not in alertmanager

"""The parts that need no process: plans, back-off, quantities, logs on disk, messages, cgroup files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.provider.machine import log_files
from springtide.provider.machine.log_files import LineSplitter, LogReader, LogWriter
from springtide.provider.machine.plan import Plan, ReplicaState, ReplicaView, choice_matters, plan
from springtide.provider.machine.start_limits import RestartPause
from springtide.provider.process import host_protocol, launches
from springtide.provider.process.host.cgroup import CPU_PERIOD_US, Cgroups
from springtide.provider.process.host_protocol import Exited, Hello, Launch, Running, Spawn, Stop
from springtide.runtime import quantities
from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import Unavailable
from springtide.watchdog.log import LINE_BEGINS

STARTING, READY, UNREADY, STOPPING = ReplicaState


def views(*states: ReplicaState, current: bool = True, loads: tuple[int, ...] = ()) -> list[ReplicaView]:
    kind = "new" if current else "old"
    loads = loads or (0,) * len(states)
    return [ReplicaView(f"{kind}{n}", state, current, n, loads[n]) for n, state in enumerate(states)]


def old(*states: ReplicaState) -> list[ReplicaView]:
    return views(*states, current=False)


@pytest.mark.parametrize(
    ("wanted", "replicas", "expected"),
    [
        pytest.param(3, [], Plan(3, ()), id="none yet"),
        pytest.param(0, [], Plan(0, ()), id="none wanted"),
        pytest.param(3, views(READY, STARTING), Plan(1, ()), id="those that start count"),
        pytest.param(2, views(READY, STOPPING, STOPPING), Plan(1, ()), id="those that stop do not"),
        pytest.param(1, views(READY, STARTING), Plan(0, ("new1",)), id="who does not answer goes first"),
        pytest.param(2, views(READY, UNREADY, READY), Plan(0, ("new1",)), id="also who answered once"),
        pytest.param(1, views(READY, READY, READY), Plan(0, ("new2", "new1")), id="then the youngest"),
        pytest.param(1, views(READY, READY, loads=(0, 5)), Plan(0, ("new0",)), id="but before that the least busy"),
        pytest.param(0, views(READY) + old(READY), Plan(0, ("old0", "new0")), id="all go when none is wanted"),
        pytest.param(1, old(READY), Plan(1, ()), id="the new one starts before the old one goes"),
        pytest.param(1, old(READY) + views(STARTING), Plan(0, ()), id="and answers"),
        pytest.param(1, old(READY) + views(READY), Plan(0, ("old0",)), id="then the old one goes"),
        pytest.param(2, old(STARTING, STARTING), Plan(1, ("old0", "old1")), id="old ones that never answered go"),
        pytest.param(4, old(READY, READY, READY, READY), Plan(1, ()), id="a quarter more while updating"),
        pytest.param(9, old(*[READY] * 9), Plan(3, ()), id="rounded up"),
        pytest.param(
            4, old(READY, READY, READY, READY) + views(READY), Plan(0, ("old3",)), id="one comes, one goes"
        ),
        pytest.param(2, old(READY, READY, READY, READY), Plan(0, ("old3", "old2")), id="fewer wanted while updating"),
    ],
)  # fmt: skip
def test_plan(wanted: int, replicas: list[ReplicaView], expected: Plan) -> None:
    result = plan(wanted, replicas)

    assert (result.start, set(result.stop)) == (expected.start, set(expected.stop))


def test_plan_without_surge_waits_for_the_old_ones_to_be_gone() -> None:
    assert plan(1, old(READY), surge=False) == Plan(0, ("old0",))
    assert plan(1, old(STOPPING), surge=False) == Plan(0, ())
    assert plan(1, [], surge=False) == Plan(1, ())


def test_choice_matters_only_between_replicas_that_answer() -> None:
    assert choice_matters(Plan(0, ("new1",)), views(READY, READY))
    assert not choice_matters(Plan(0, ("new0", "new1")), views(READY, READY))
    assert not choice_matters(Plan(0, ("new1",)), views(READY, STARTING))


replicas_of_any_kind = st.lists(
    st.tuples(st.sampled_from(ReplicaState), st.booleans(), st.integers(0, 3)), max_size=30
).map(lambda items: [ReplicaView(str(n), state, new, n, load) for n, (state, new, load) in enumerate(items)])


@given(st.integers(0, 20), replicas_of_any_kind)
def test_plan_never_takes_away_what_is_needed(wanted: int, replicas: list[ReplicaView]) -> None:
    result = plan(wanted, replicas)

    stopped = set(result.stop)
    ready = [view for view in replicas if view.state is READY]
    left = [view for view in ready if view.instance not in stopped]
    assert len(left) >= min(wanted, len(ready))
    assert not stopped & {view.instance for view in replicas if view.state is STOPPING}
    new = [view for view in replicas if view.current and view.state is not STOPPING and view.instance not in stopped]
    assert len(new) + result.start <= max(wanted, len(new))


@given(st.integers(0, 20), replicas_of_any_kind)
def test_plans_arrive_at_the_wish(wanted: int, replicas: list[ReplicaView]) -> None:
    """If everything started becomes ready and everything stopped is gone, the wish is reached in a few rounds."""
    serial = 1000
    for _ in range(60):
        step, settled = plan(wanted, replicas), all(view.state is READY for view in replicas)
        replicas = [view for view in replicas if view.instance not in step.stop and view.state is not STOPPING]
        replicas = [ReplicaView(view.instance, READY, view.current, view.age, view.in_flight) for view in replicas]
        for _ in range(step.start):
            serial += 1
            replicas.append(ReplicaView(str(serial), READY, True, serial))
        if step == Plan(0, ()) and settled:
            break

    assert [view.current for view in replicas] == [True] * wanted


def test_backoff_doubles_up_to_its_limit_and_starts_over_after_a_stable_time() -> None:
    restart, now, pauses = RestartPause(Backoff(0.1, 1.0), stable_s=10.0), 0.0, []
    for _ in range(6):
        pauses.append(restart.failed(started_at=now, ready_at=None, now=now))
        now += pauses[-1]
    stable = restart.failed(started_at=now, ready_at=now, now=now + 10)

    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert stable == pytest.approx(0.1)


def test_replicas_that_die_together_are_one_failure() -> None:
    restart = RestartPause(Backoff(0.1, 30.0), stable_s=10.0)

    for number in range(20):
        restart.failed(started_at=0.0, ready_at=1.0, now=2.0 + number / 100)

    assert restart.failures == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [("128Mi", 128 << 20), ("1Gi", 1 << 30), ("0.5G", 500_000_000), ("67108864", 64 << 20), ("64e6", 64_000_000)],
)
def test_memory_quantity(text: str, value: int) -> None:
    assert quantities.memory_bytes(text) == value


@pytest.mark.parametrize(("text", "value"), [("100m", 100), ("0.5", 500), ("2", 2000), ("1500m", 1500)])
def test_cpu_quantity(text: str, value: int) -> None:
    assert quantities.cpu_millis(text) == value


@pytest.mark.parametrize("text", ["", "Mi", "12 Mi", "1,5Gi", "-1Mi", "0x10", "128MiB", "20m", "1"])
def test_not_a_memory_quantity(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|too little"):
        quantities.memory_bytes(text)


@pytest.mark.parametrize("text", ["9999999999Gi", "1e999", "1e999999999", "9" * 5000, "1Ei", "1025Ti"])
def test_more_memory_than_there_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|more memory"):
        quantities.memory_bytes(text)


@pytest.mark.parametrize("text", ["1001", "1e300", "9" * 30, "1Ei"])
def test_more_processors_than_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="more than any"):
        quantities.cpu_millis(text)


def test_largest_limits_fit_the_kernels_numbers() -> None:
    memory_bytes, cpu_millis = quantities.memory_bytes("1Pi"), quantities.cpu_millis("1000")

    assert 3 * memory_bytes < 1 << 63  # what child adds to it for RLIMIT_DATA
    assert cpu_millis * CPU_PERIOD_US // 1000 < 1 << 34


def test_smallest_processor_share_is_one_that_the_kernel_takes(tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").write_text("cpu")

    Cgroups(tmp_path).create("fn", memory_bytes=None, cpu_millis=1)

    assert (tmp_path / "fn" / "cpu.max").read_text() == "1000 100000"


@pytest.mark.parametrize(
    ("image", "known"),
    [
        pytest.param("functions/alpine:latest", True, id="with a tag"),
        pytest.param("ghcr.io/openfaas/alpine@sha256:00", True, id="with a registry and a digest"),
        pytest.param("docker.io/theaxer/redirector", True, id="with neither"),
        pytest.param("localhost:5000/functions/alpine", False, id="of another registry"),
        pytest.param("alpine", False, id="of another repository"),
    ],
)
def test_image_is_known(image: str, known: bool) -> None:
    assert (launches.known_image(image) is not None) == known


def test_lines_are_cut_from_any_pieces_and_long_ones_in_parts() -> None:
    splitter = LineSplitter()

    assert splitter.feed(b"a\nb") == [b"a"]
    assert splitter.feed(b"c\n\n") == [b"bc", b""]
    assert splitter.last == "bc"
    assert [len(line) for line in splitter.feed(b"x" * 40_000)] == [16_384, 16_384]
    assert splitter.end() == [b"x" * (40_000 - 2 * 16_384)]


@pytest.mark.parametrize("size", [1, 7, 16_384, 400_000])
def test_no_line_is_longer_than_its_bound_however_it_arrives(size: int) -> None:
    said = b"x" * 300_000 + b"\n" + b"y" * 16_384 + b"\n" + b"z" * 16_385
    splitter = LineSplitter()

    lines = [line for at in range(0, len(said), size) for line in splitter.feed(said[at : at + size])]
    lines += splitter.end()

    assert [len(line) for line in lines] == [16_384] * 18 + [300_000 - 18 * 16_384, 16_384, 16_384, 1]


@pytest.mark.parametrize("size", range(1, 12))
def test_line_of_the_watchdog_does_not_stick_to_what_a_program_left_open(size: int) -> None:
    said = b"last" + LINE_BEGINS + b"Wrote 4 Bytes\n" + LINE_BEGINS + b"more\n\nx" + LINE_BEGINS + b"end"
    splitter = LineSplitter()

    lines = [line for at in range(0, len(said), size) for line in splitter.feed(said[at : at + size])]

    assert [*lines, *splitter.end()] == [b"last", b"Wrote 4 Bytes", b"more", b"", b"x", b"end"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 400])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(b"a\nNo module named x\n" + LINE_BEGINS + b"it ended\n", "No module named x; it ended", id="why"),
        pytest.param(LINE_BEGINS + b"one\n" + LINE_BEGINS + b"two\n", "two", id="the watchdog alone"),
        pytest.param(LINE_BEGINS + b"one\n" + b"b\n" + LINE_BEGINS + b"two", "b; two", id="the newest of both"),
        pytest.param(LINE_BEGINS + b"begins\nlast words\n\n", "last words", id="nothing after it"),
        pytest.param(b"open" + LINE_BEGINS + b"it ended\n" + LINE_BEGINS, "open; it ended", id="a line left open"),
        pytest.param(b"\n \n", "", id="nothing said"),
    ],
)
def test_last_words_are_the_programs_and_what_the_watchdog_said_after_them(
    said: bytes, expected: str, size: int
) -> None:
    splitter = LineSplitter()

    lines = [line for at in range(0, len(said), size) for line in splitter.feed(said[at : at + size])]
    lines += splitter.end()

    assert splitter.last == expected
    assert b"\n".join(lines).count(LINE_BEGINS[:1]) == 0


def test_reader_follows_over_rotations(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, 400)
    reader = LogReader(tmp_path)
    seen, said = [], 0
    for size in (1, 5, 30, 3):
        for _ in range(size):
            writer.append("i", [b"%d" % said], float(said))
            said += 1
            if size < 30 or said % 10 == 0:
                seen += [int(line.text) for line in reader.more()]

    assert seen == list(range(said))
    assert {path.name for path in tmp_path.iterdir()} == {"current.log", "previous.log"}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 400
    reader.close()
    writer.close()


def test_half_written_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / log_files.CURRENT).write_bytes(b"1.5 i one\n2.5 i tw")
    reader = LogReader(tmp_path)

    first = reader.kept()
    with (tmp_path / log_files.CURRENT).open("ab") as file:
        file.write(b"o\n")
    then = reader.more()
    reader.close()

    assert [(line.at, line.instance, line.text) for line in [*first, *then]] == [(1.5, "i", "one"), (2.5, "i", "two")]


LAUNCH = Launch(
    instance="fn-1-a",
    function="fn.openfaas-fn",
    uid="u",
    generation=1,
    env={"a": "ü\n"},
    folder="/",
    log_folder="/l",
    log_limit_bytes=1,
    python="/p",
    secrets_folder="/s",
    stage_folder="/t",
)


@pytest.mark.parametrize(
    "message",
    [
        Spawn(LAUNCH),
        Stop("fn-1-a", 1.5),
        Exited("fn-1-a", "exited with status 1", "last"),
        Hello(
            version=1,
            pid=2,
            identity="i",
            limits_memory=True,
            limits_cpu=False,
            limits_processes=False,
            sandbox_problem="",
            running=(Running(launch=LAUNCH, pid=3, port=4, ready=True, stopping=False),),
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_message_survives_the_wire(message: host_protocol.Message) -> None:
    line = host_protocol.encode(message)

    assert line.count(b"\n") == 1
    assert host_protocol.decode(line) == message


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b'{"type":"Stop"}', b'{"type":"Nothing"}', b'{"type":"Stop","x":1}']
)
def test_nonsense_on_the_wire(line: bytes) -> None:
    with pytest.raises(Unavailable):
        host_protocol.decode(line)


def fake_cgroups(root: Path, *, delegated: bool) -> Path:
    """A tree as systemd makes it: controllers handed down to app.slice, and our own scope below that."""
    scope = root / "user.slice" / "app.slice" / "our.scope"
    scope.mkdir(parents=True)
    (root / "cgroup.controllers").write_text("cpu memory pids")
    for folder in (root, *list(scope.parents)[:2], scope):
        (folder / "cgroup.procs").touch()
        (folder / "cgroup.subtree_control").write_text("" if folder == scope or not delegated else "cpu memory pids")
    return root


def test_cgroup_is_made_where_controllers_are_handed_down(tmp_path: Path) -> None:
    root = fake_cgroups(tmp_path, delegated=True)

    cgroups = Cgroups.find("id", root=root, own="/user.slice/app.slice/our.scope")
    assert cgroups is not None
    cgroups.create("fn-1-a", memory_bytes=64 << 20, cpu_millis=250, processes=99)

    own = root / "user.slice" / "app.slice" / "springtide-id"
    assert (own / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert (own / "fn-1-a" / "pids.max").read_text() == "99"
    assert (own / "fn-1-a" / "memory.max").read_text() == str(64 << 20)
    (own / "fn-1-a" / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    assert cgroups.ran_out_of_memory("fn-1-a")


def test_without_delegation_there_are_no_cgroups(tmp_path: Path) -> None:
    root = fake_cgroups(tmp_path, delegated=False)

    assert Cgroups.find("id", root=root, own="/user.slice/app.slice/our.scope") is None
    assert Cgroups.find("id", root=tmp_path / "nowhere", own="/") is None

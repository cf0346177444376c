from __future__ import annotations

import os
from pathlib import Path

import pytest

from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire.decision_journal import SLACK, FileJournal, capacity
from springtide.wire.decision_log import DecisionLog

ECHO = FunctionRef("openfaas-fn", "echo")


def step(at: float) -> Decision:
    return Decision(ECHO, Writer.ALERT, 1, 5, Reason.ALERT_FIRING, "up", Instant(at), {"step": 4.0})


def hold(at: float, reason: Reason = Reason.AT_MAX) -> Decision:
    return Decision(ECHO, Writer.ALERT, 5, 5, reason, "", Instant(at))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.ndjson"


def test_pipe_in_the_place_of_the_file_is_set_aside_not_waited_for(path: Path) -> None:
    os.mkfifo(path)

    log = DecisionLog(journal=FileJournal(path))
    log.record(step(1))

    assert len(DecisionLog(journal=FileJournal(path)).since(0)) == 1
    assert len(list(path.parent.glob("*.damaged-*"))) == 1


def test_decisions_survive_a_restart(path: Path) -> None:
    first = DecisionLog(journal=FileJournal(path))
    for decision in (step(1), hold(2), step(3)):
        first.record(decision)

    second = DecisionLog(journal=FileJournal(path))

    assert second.since(0) == [step(1), hold(2), step(3)]


def test_a_hold_told_before_the_restart_is_not_told_again(path: Path) -> None:
    DecisionLog(journal=FileJournal(path)).record(hold(1))

    second = DecisionLog(journal=FileJournal(path))
    second.record(hold(2))

    assert second.since(0) == [hold(1)]


def test_file_stays_bounded_and_keeps_the_newest(path: Path) -> None:
    log = DecisionLog(3, journal=FileJournal(path))
    for at in range(100):
        log.record(step(at))

    assert path.read_bytes().count(b"\n") <= SLACK * capacity(3)
    assert [decision.at for decision in DecisionLog(3, journal=FileJournal(path)).since(0)] == [97, 98, 99]


def test_line_cut_by_a_crash_costs_only_itself(path: Path) -> None:
    first = DecisionLog(journal=FileJournal(path))
    first.record(step(1))
    first.record(step(2))
    path.write_bytes(path.read_bytes()[:-10])

    DecisionLog(journal=FileJournal(path)).record(step(3))

    assert DecisionLog(journal=FileJournal(path)).since(0) == [step(1), step(3)]


@pytest.mark.parametrize("line", [b"not json\n", b"[]\n", b'{"t": 1}\n', b"\xff\xfe\n", b"\n"], ids=str)
def test_lines_that_are_no_decisions_are_passed_over(path: Path, line: bytes) -> None:
    DecisionLog(journal=FileJournal(path)).record(step(1))
    path.write_bytes(line + path.read_bytes() + line)

    assert DecisionLog(journal=FileJournal(path)).since(0) == [step(1)]


def test_disk_that_takes_nothing_costs_no_decision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = DecisionLog(journal=FileJournal(tmp_path))
    log.record(step(1))
    log.record(step(2))

    assert log.since(0) == [step(1), step(2)]
    assert capsys.readouterr().out.count(os.strerror(21)) == 1


def test_file_keeps_the_changes_whatever_the_holds(path: Path) -> None:
    log = DecisionLog(4, journal=FileJournal(path))
    log.record(step(0))
    for at in range(1, 200):
        log.record(hold(at, Reason.AT_MAX if at % 2 else Reason.REDELIVERED))

    assert path.read_bytes().count(b"\n") <= SLACK * capacity(4)
    assert [decision.at for decision in DecisionLog(4, journal=FileJournal(path)).since(0)] == [0, 198, 199]

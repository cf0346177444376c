from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.alert_receiver import history_store
from springtide.alert_receiver.history_store import HistoryStore, dump, load
from springtide.runtime.errors import BadInput
from springtide.scaler.core.steps import AlertId, StepHistory
from springtide.scaler.core.vocabulary import FunctionRef, Instant

ECHO = FunctionRef("openfaas-fn", "echo")
DESCENDING = StepHistory(descending=True, last_step_down=Instant(10.5))
FIRING = StepHistory(firing={AlertId("aa", "t0"): Instant(1.25)}, last_step_up=Instant(1.25))


def test_what_is_put_is_kept_over_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    first = HistoryStore(file)
    first.put(ECHO, DESCENDING)
    first.put(FunctionRef("team.a", "x"), FIRING)
    asyncio.run(first.save())

    second = HistoryStore(file)

    assert second.get(ECHO) == DESCENDING
    assert second.get(FunctionRef("team.a", "x")) == FIRING
    assert second.descending() == [ECHO]
    assert file.stat().st_mode & 0o777 == 0o600


def test_file_of_the_first_release_is_read(tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    of_echo = {"namespace": "openfaas-fn", "name": "echo", "firing": [["aa", "t0", 1.25]], "descending": False}
    stepped = [["aa", "t0", 1.25], ["bb", "t0", 1.0]]
    functions = [of_echo | {"stepped": stepped, "lastStepDown": None}]
    file.write_text(json.dumps({"version": 1, "functions": functions}))

    assert load(file) == {ECHO: FIRING}


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    kept = HistoryStore()
    kept.put(ECHO, DESCENDING)
    asyncio.run(kept.save())

    assert list(tmp_path.iterdir()) == []
    assert kept.get(ECHO) == DESCENDING


def test_function_with_nothing_to_remember_is_forgotten() -> None:
    kept = HistoryStore()
    kept.put(ECHO, DESCENDING)
    kept.put(ECHO, StepHistory())

    assert repr(kept) == "<HistoryStore 0 functions, 0 descending, 0 unsaved>"


def test_unchanged_memory_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    kept = HistoryStore(file)
    kept.put(ECHO, DESCENDING)
    asyncio.run(kept.save())
    file.unlink()
    kept.put(ECHO, DESCENDING)
    asyncio.run(kept.save())

    assert not file.exists()


async def test_waiters_share_a_write_and_all_find_their_change_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    kept = HistoryStore(file)

    async def change(number: int) -> None:
        ref = FunctionRef("ns", f"f{number}")
        kept.put(ref, DESCENDING)
        await kept.save()
        assert ref in load(file)

    await asyncio.gather(*(change(number) for number in range(20)))


def test_disk_that_refuses_costs_the_memory_not_the_scaling(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    kept = HistoryStore(folder / "alerts.json")
    kept.put(ECHO, DESCENDING)
    folder.rmdir()
    asyncio.run(kept.save())
    assert repr(kept).endswith("1 unsaved>")

    folder.mkdir()
    asyncio.run(kept.save())

    assert load(folder / "alerts.json") == {ECHO: DESCENDING}


def test_the_function_heard_of_longest_ago_is_forgotten_first_a_descending_one_last() -> None:
    kept = HistoryStore(max_functions=2)
    one, two, three = (FunctionRef("ns", name) for name in ("one", "two", "three"))
    kept.put(one, DESCENDING)
    kept.put(two, FIRING)
    kept.put(three, FIRING)
    assert [kept.get(ref).forgettable for ref in (one, two, three)] == [False, True, False]

    kept.put(three, DESCENDING)
    kept.put(two, DESCENDING)
    assert [kept.get(ref).forgettable for ref in (one, two, three)] == [True, False, False]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"version": 1, "func', id="cut off"),
        pytest.param(b"\x00\xff", id="not text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"version": 3, "functions": []}', id="of a later version"),
        pytest.param(b'{"version": 1}', id="without functions"),
        pytest.param(b'{"version": 1, "functions": [{}]}', id="a function without a name"),
        pytest.param(b'{"version": 1, "functions": [7]}', id="a number for a function"),
        pytest.param(
            dump({ECHO: FIRING}).replace(b"1.25", b"NaN"),
            id="an instant that is no number",
        ),
        pytest.param(dump({ECHO: FIRING}).replace(b'"aa"', b"7"), id="a number to identify an alert"),
        pytest.param(dump({ECHO: DESCENDING}).replace(b'"echo"', b"null"), id="no name"),
    ],
)
def test_damaged_state_file_is_set_aside_and_told_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "alerts.json"
    file.write_bytes(content)

    with structlog.testing.capture_logs() as lines:
        store = HistoryStore(file, now=1_700_000_000.0)

    kept = tmp_path / "alerts.json.damaged-20231114T221320Z"
    assert (kept.read_bytes(), file.exists(), store.descending()) == (content, False, [])
    (line,) = lines
    assert (line["log_level"], line["set_aside_as"]) == ("error", str(kept))
    assert line["why"].startswith(f"{file}: ")
    assert "\n" not in line["why"]


def test_what_can_be_read_of_a_damaged_state_file_is_kept(tmp_path: Path) -> None:
    file, mail = tmp_path / "alerts.json", FunctionRef("openfaas-fn", "mail")
    content = dump({ECHO: DESCENDING, mail: FIRING}).replace(b"1.25", b'"soon"')
    file.write_bytes(content)

    store = HistoryStore(file, now=1_700_000_000.0)

    kept = tmp_path / "alerts.json.damaged-20231114T221320Z"
    assert (kept.read_bytes(), load(file), store.get(ECHO)) == (content, {ECHO: DESCENDING}, DESCENDING)
    assert store.damage == f"what was remembered of alerts was damaged, and is set aside as {kept}"
    assert HistoryStore(file).damage is None


def test_state_file_that_is_a_folder_gives_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"Is a directory; make it readable or choose another"):
        HistoryStore(tmp_path)


def test_missing_folder_gives_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere: no such folder; create it"):
        HistoryStore(tmp_path / "nowhere" / "alerts.json")


ids = st.builds(AlertId, st.text(max_size=5), st.text(max_size=5))
instants = st.floats(allow_nan=False, allow_infinity=False).map(Instant)
histories = st.builds(
    StepHistory,
    st.dictionaries(ids, instants, max_size=4),
    st.none() | instants,
    st.booleans(),
    st.none() | instants,
)


@settings(deadline=None)
@given(st.dictionaries(st.builds(FunctionRef, st.text(max_size=5), st.text(max_size=5)), histories, max_size=5))
def test_file_says_what_was_remembered(given_histories: dict[FunctionRef, StepHistory]) -> None:
    assert history_store._histories(json.loads(dump(given_histories))["functions"]) == (given_histories, None)

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from springtide.runtime import settings
from springtide.runtime.errors import BadInput
from springtide.runtime.settings import SettingsError, declared, read, setting


@dataclass(frozen=True, kw_only=True)
class Example:
    sweep_s: float = setting(30.0, env="sweep", kind=settings.duration, low=0.1, high=3600, help="pause")
    port: int = setting(8080, env="port", kind=settings.integer, low=0, high=65535, help="port")
    share: float = setting(0.5, env="share", kind=settings.number, low=0, help="share")
    eager: bool = setting(default=False, env="eager", kind=settings.boolean, help="do it at once")
    urls: tuple[str, ...] = setting((), env="urls", kind=settings.words, help="where")
    folder: Path | None = setting(None, env="folder", kind=settings.path, help="state")  # noqa: RUF009 - a field
    name: str = setting("x", env="name", help="name")
    plain: int = 7


def test_without_anything_the_defaults_hold() -> None:
    assert read(Example, {}) == Example()


def test_every_kind_is_read_from_the_environment() -> None:
    environ = {
        "sweep": "2m",
        "port": "99",
        "share": "0.25",
        "eager": "on",
        "urls": "http://a, http://b http://c",
        "folder": "/tmp/x",
        "name": "y",
        "unrelated": "z",
    }

    assert read(Example, environ) == Example(
        sweep_s=120,
        port=99,
        share=0.25,
        eager=True,
        urls=("http://a", "http://b", "http://c"),
        folder=Path("/tmp/x"),
        name="y",
    )


def test_overrides_win_over_the_environment_and_none_means_not_given() -> None:
    read_back = read(Example, {"port": "99", "sweep": "5s"}, {"port": "100", "sweep_s": None, "plain": 8})

    assert read_back == Example(port=100, sweep_s=5, plain=8)


def test_empty_variable_is_not_set() -> None:
    assert read(Example, {"port": ""}).port == 8080


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", True),
        ("TRUE", True),
        ("yes", True),
        ("on", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("off", False),
    ],
)
def test_truth_has_many_spellings(text: str, value: bool) -> None:
    assert read(Example, {"eager": text}).eager is value


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        pytest.param({"port": "web"}, "port: 'web' is not a whole number", id="a word for a number"),
        pytest.param({"port": "70000"}, "port: 70000 is out of range; it must be between 0 and 65535", id="too high"),
        pytest.param({"port": "99999999"}, "port: 99999999 is out of range", id="not rounded"),
        pytest.param({"port": "9" * 400}, f"port: {'9' * 40} is out of range", id="larger than any float"),
        pytest.param({"port": "9" * 5000}, f"port: '{'9' * 40}' is not a whole number", id="larger than is read"),
        pytest.param({"share": "-1"}, "share: -1 is out of range; it must be at least 0", id="too low"),
        pytest.param({"share": "much"}, "share: 'much' is not a number", id="not a number"),
        pytest.param({"share": "nan"}, "share: 'nan' is not a finite number", id="NaN, which no range excludes"),
        pytest.param({"share": "inf"}, "share: 'inf' is not a finite number", id="infinity"),
        pytest.param({"eager": "perhaps"}, "eager: 'perhaps' is neither true nor false", id="neither true nor false"),
        pytest.param({"sweep": "0s"}, "sweep: 0 is out of range; it must be between 0.1 and 3600", id="no time at all"),
        pytest.param({"sweep": "soon"}, "sweep: 'soon' is not a duration; write seconds (90)", id="not a duration"),
    ],
)
def test_problem_names_the_variable_the_value_and_the_remedy(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(Example, environ)

    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(problem)


def test_every_problem_is_told_at_once_flags_by_their_own_name() -> None:
    with pytest.raises(BadInput) as refused:
        read(Example, {"port": "x", "share": "y"}, {"sweep_s": "z", "nonsense": 1})

    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        "--sweep",
        "port",
        "share",
        "nonsense",
    ]


def test_override_that_is_a_value_already_is_checked_as_well() -> None:
    with pytest.raises(SettingsError, match="--port: 70000 is out of range"):
        read(Example, {}, {"port": 70000})


def test_declaration_tells_flags_defaults_and_help() -> None:
    told = {item.name: (item.flag, item.env, item.shown_default) for item in declared(Example)}

    assert told == {
        "sweep_s": ("--sweep", "sweep", "30s"),
        "port": ("--port", "port", "8080"),
        "share": ("--share", "share", "0.5"),
        "eager": ("--eager", "eager", "false"),
        "urls": ("--urls", "urls", ""),
        "folder": ("--folder", "folder", ""),
        "name": ("--name", "name", "x"),
    }

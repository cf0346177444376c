"""Environments: what a folder asks for, who shares one, and what a build that fails leaves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from springtide.provider.process import installer, interpreters
from springtide.provider.process.environments import BuildBounds, Environment, Environments
from springtide.provider.process.requirements import Wanted, wanted_by
from springtide.runtime.errors import BadInput
from tests.provider.process.wheels import make_wheel, requirements
from tests.provider.process.world import eventually


def environments(folder: Path, operator: Mapping[str, str] | None = None, **bounds: float) -> Environments:
    made = Environments(folder / "environments", BuildBounds(**bounds), operator or {}, search="")  # type: ignore[arg-type]
    made.open()
    return made


def handler(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def printed(environment: Environment, source: str) -> str:
    done = subprocess.run([environment.python, "-I", "-c", source], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n\n   # nor here\n"])
async def test_without_requirements_there_is_one_empty_environment(tmp_path: Path, text: str | None) -> None:
    folder = handler(tmp_path / "fn", {} if text is None else {"requirements.txt": text})
    known = environments(tmp_path)
    made = await known.ensure(wanted_by(folder))
    assert made == await known.ensure(Wanted())
    assert printed(made, "import springtide") == "ModuleNotFoundError: No module named 'springtide'"
    assert printed(made, "import fastapi") == "ModuleNotFoundError: No module named 'fastapi'"
    assert printed(made, "import sys; print(sys.prefix, sys.executable)") == f"{made.folder} {made.python}"


async def test_requirements_are_installed_once_for_all_that_ask_for_the_same(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "tide_sample", "1.2", requires=("tide_inner>=2",))
    make_wheel(wheels, "tide_inner", "2.0")
    known, told = environments(tmp_path, {"UV_FIND_LINKS": str(wheels), "UV_NO_INDEX": "1"}), list[str]()
    first = handler(tmp_path / "one", {"requirements.txt": "tide_sample==1.2  # a comment\n\n"})
    second = handler(tmp_path / "two", {"pyproject.toml": '[project]\ndependencies = ["tide_sample==1.2"]\n'})
    building = asyncio.Event()

    def tell(line: str) -> None:
        told.append(line)
        building.set()

    one = asyncio.create_task(known.ensure(wanted_by(first), tell))
    await building.wait()  # the other comes while this is built
    made = [await known.ensure(wanted_by(second)), await one]
    assert made[0] == made[1]
    assert (
        printed(made[0], "import tide_sample, tide_inner; print(tide_sample.VERSION, tide_inner.VERSION)") == "1.2 2.0"
    )
    assert told[0].startswith("building environment (tide_sample==1.2)")
    assert any("tide-inner" in line for line in told)
    assert len(list((tmp_path / "environments").glob("[!.]*"))) == 1


async def test_pip_does_where_uv_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip")
    monkeypatch.setitem(sys.modules, "uv", None)
    make_wheel(tmp_path / "wheels", "tide_sample", "1.2")
    known = environments(tmp_path, {"PIP_FIND_LINKS": str(tmp_path / "wheels"), "PIP_NO_INDEX": "1"})
    made = await known.ensure(Wanted(requirements=("tide_sample",), project=("tide_sample",)))
    assert printed(made, "import tide_sample; print(tide_sample.VERSION)") == "1.2"


async def test_what_pip_was_told_counts_for_uv(tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "tide_sample", "1.2")
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nno-index = true\n[install]\nfind-links =\n    {tmp_path / 'wheels'}\n")
    known = environments(tmp_path, {"PIP_CONFIG_FILE": str(config)})
    made = await known.ensure(Wanted(requirements=("tide_sample",), project=("tide_sample",)))
    assert printed(made, "import tide_sample; print(tide_sample.VERSION)") == "1.2"


async def test_requirements_may_be_written_as_powershell_writes_them(tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "tide_sample", "1.2")
    make_wheel(tmp_path / "wheels", "tide_inner", "2.0")
    folder = handler(tmp_path / "fn", {})
    (folder / "requirements.txt").write_text("-r more.txt\r\ntide_sample==1.2\r\n", encoding="utf-16")
    (folder / "more.txt").write_text("tide_inner==2.0\r\n", encoding="utf-16")
    (folder / "requirements.txt").chmod(0o444)
    known = environments(tmp_path, {"UV_FIND_LINKS": str(tmp_path / "wheels"), "UV_NO_INDEX": "1"})
    made = await known.ensure(wanted_by(folder))
    assert printed(made, "import tide_sample, tide_inner; print(tide_sample.VERSION, tide_inner.VERSION)") == "1.2 2.0"
    assert (folder / "more.txt").read_bytes().startswith((b"\xff\xfe", b"\xfe\xff"))


async def test_a_build_that_fails_says_what_the_resolver_says_and_leaves_nothing(tmp_path: Path) -> None:
    make_wheel(tmp_path / "fn" / "wheels", "tide_sample", "1.2")
    folder = handler(tmp_path / "fn", {"requirements.txt": requirements("tide_sample==7")})
    known = environments(tmp_path)
    with pytest.raises(BadInput, match=r"(?s)requirements.txt: .*tide-sample==7"):
        await known.ensure(wanted_by(folder))
    assert list((tmp_path / "environments").glob("*new*")) == []
    (folder / "requirements.txt").write_text(requirements("tide_sample"))
    assert printed(await known.ensure(wanted_by(folder)), "import tide_sample as m; print(m.VERSION)") == "1.2"


async def test_a_build_that_takes_too_long_or_too_much_is_ended(tmp_path: Path) -> None:
    big = {"tide_big.bin": "x" * 3_000_000}
    make_wheel(tmp_path / "fn" / "wheels", "tide_sample", "1.2", files=big)
    folder = handler(tmp_path / "fn", {"requirements.txt": requirements("tide_sample")})
    with pytest.raises(BadInput, match="environment_size"):
        await environments(tmp_path, max_bytes=2 << 20).ensure(wanted_by(folder))
    with pytest.raises(BadInput, match="build_timeout"):
        await environments(tmp_path, timeout_s=0.0).ensure(wanted_by(folder))
    assert [path.name for path in (tmp_path / "environments").iterdir()] in ([], [".cache"])


async def test_a_caller_who_gives_up_does_not_end_the_build(tmp_path: Path) -> None:
    make_wheel(tmp_path / "fn" / "wheels", "tide_sample", "1.2")
    wanted = wanted_by(handler(tmp_path / "fn", {"requirements.txt": requirements("tide_sample")}))
    known = environments(tmp_path)
    first = asyncio.create_task(known.ensure(wanted))
    await eventually(lambda: list((tmp_path / "environments").glob(".new-*")))
    first.cancel()
    told: list[str] = []
    made = await known.ensure(wanted, told.append)
    assert not any(line.startswith("building") for line in told)
    assert printed(made, "import tide_sample as m; print(m.VERSION)") == "1.2"


async def test_what_is_not_referred_to_goes_and_what_lost_its_interpreter_is_built_anew(tmp_path: Path) -> None:
    known = environments(tmp_path)
    made = await known.ensure(Wanted())
    assert known.prune({made.key}, grace_s=0) == []
    (made.folder / "bin" / made.python.readlink()).unlink()
    with pytest.raises(BadInput, match="deploy the function again"):
        known.get(made.key)
    assert printed(await known.ensure(Wanted()), "print(1)") == "1"
    assert known.prune(set()) == []
    assert known.prune(set(), grace_s=0) == [made.key]


def test_what_a_folder_asks_for(tmp_path: Path) -> None:
    folder = handler(
        tmp_path / "fn",
        {
            "requirements.txt": "-r more.txt\nfoo[b] >= 1 ; python_version>'3' # why\nbaz==1 \\\n  --hash=sha256:aa\n",
            "more.txt": "-c bounds.txt\ninner\n",
            "bounds.txt": "inner<3\n",
            ".python-version": "# the newest\n3.11\n",
            "pyproject.toml": '[project]\nname = "x"\ndependencies = ["last>2"]\nrequires-python = ">=3.9"\n',
        },
    )
    wanted = wanted_by(folder)
    assert wanted.requirements == (
        "constraint inner<3",
        "inner",
        "foo[b] >= 1 ; python_version>'3'",
        "baz==1 --hash=sha256:aa",
        "last>2",
    )
    assert (wanted.python, wanted.project, wanted.local) == ("==3.11.*", ("last>2",), "")


@pytest.mark.parametrize(
    "line", ["./vendored", "--find-links ./wheels", "x @ file:///srv/x.whl", "lib/x-1-py3-none-any.whl"]
)
def test_requirements_that_name_files_are_no_other_folders(tmp_path: Path, line: str) -> None:
    folder = handler(tmp_path / "fn", {"requirements.txt": f"{line}\n"})
    assert wanted_by(folder, version="abc").local == "abc"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"requirements.txt": "-r ../outside.txt"}, "no such file in the handler's folder"),
        ({"requirements.txt": "-e ."}, "without -e"),
        ({"requirements.txt": "x" * (1 << 21)}, "at most 1048576"),
        ({"pyproject.toml": "[project"}, "pyproject.toml: "),
        ({"pyproject.toml": "[project]\ndependencies = 'x'\n"}, "list of texts"),
        ({"pyproject.toml": "[tool.poetry.dependencies]\nx = '1'\n"}, "list them under"),
        ({".python-version": "pypy3.10"}, "no version of CPython"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_remedy(tmp_path: Path, files: dict[str, str], words: str) -> None:
    (tmp_path / "outside.txt").touch()
    with pytest.raises(BadInput, match=words):
        wanted_by(handler(tmp_path / "fn", files))


def test_an_interpreter_is_chosen_by_its_version() -> None:
    own = interpreters.base()
    assert own.number == ".".join(map(str, sys.version_info[:3]))
    for fits in ("", ">=3.9", "~=3.9", f"=={own.version[0]}.{own.version[1]}.*", f"=={own.number}", "!=3.8.*,<4,>3"):
        assert interpreters.choose(fits, "") == own, fits
    with pytest.raises(BadInput, match=f"wants Python >=3.99, and this machine has {own.number}"):
        interpreters.choose(">=3.99", "")
    with pytest.raises(BadInput, match="cannot be read"):
        interpreters.choose("three", "")


def test_an_address_is_told_without_its_credentials() -> None:
    said = "\x1b[31merror\x1b[0m: https://user:secret@index.example/simple failed"
    assert installer.redacted(said) == "error: https://***@index.example/simple failed"


def test_the_installer_sees_the_operators_settings_and_no_more(tmp_path: Path) -> None:
    operator = {
        "HOME": str(tmp_path),
        "PIP_INDEX_URL": "https://index.example/simple",
        "UV_PYTHON": "3.8",
        "https_proxy": "http://proxy:1",
        "AWS_SECRET_ACCESS_KEY": "x",
        "PIP_CONFIG_FILE": "/dev/null",
    }
    seen = installer.installer(Path("/x/bin/python"), operator, cache=tmp_path).environ
    assert seen["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert seen["https_proxy"] == "http://proxy:1"
    assert not {"AWS_SECRET_ACCESS_KEY", "UV_PYTHON"} & seen.keys()

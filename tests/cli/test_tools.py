"""Finding and fetching, with small shell programs in the place of apt-get and dpkg."""

from __future__ import annotations

import os
import select
import subprocess
from pathlib import Path

import pytest

from springtide.cli import debian as debian_packages
from springtide.cli import tools
from springtide.cli.commands.options import tools_folder
from springtide.cli.tools import Missing, Tools, fetch, fetch_debian, find
from springtide.runtime.errors import Unavailable, Unsupported

FETCHED = "prometheus+prometheus-alertmanager"
SYSTEM = "/usr/bin:/bin"
"""Where the shell programs themselves find mkdir and the like; the code under test is given other folders."""

APT = """
while [ $# -gt 0 ]; do
    case "$1" in
        -qq) ;;
        -c) settings="$2"; shift ;;
        update) {update}; exit 0 ;;
        download) shift; {download}; for name in "$@"; do echo "$name" > "${{name}}_1.0_amd64.deb"; done; exit 0 ;;
    esac
    shift
done
exit 3
"""
DPKG = """
root="$3"
mkdir -p "$root/usr/bin"
case "$(cat "$2")" in
    prometheus) names="prometheus promtool" ;;
    prometheus-alertmanager)
        names="prometheus-alertmanager amtool"
        mkdir -p "$root/usr/share/prometheus/alertmanager"
        echo "a template" > "$root/usr/share/prometheus/alertmanager/default.tmpl"
        ;;
    *) names=thing ;;
esac
for name in $names; do
    printf '#!/bin/sh\\n{action}\\nexit {status}\\n' > "$root/usr/bin/$name"
    chmod +x "$root/usr/bin/$name"
done
{also}
"""


def program(folder: Path, name: str, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\nPATH={SYSTEM}\n{text}\n")
    file.chmod(0o755)
    return file


class Debian:
    """A folder with an apt-get and a dpkg that do as told, and an empty folder for the tools."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.tools_dir = folder / "bin", folder / "tools"
        self.apt()
        self.dpkg()

    def apt(self, *, update: str = "true", download: str = "true") -> None:
        program(self.bin, "apt-get", APT.format(update=update, download=download))

    def dpkg(self, *, status: int = 0, also: str = "", action: str = "") -> None:
        program(self.bin, "dpkg", DPKG.format(status=status, also=also, action=action))

    @property
    def left(self) -> list[str]:
        return sorted(os.listdir(self.tools_dir)) if self.tools_dir.exists() else []  # noqa: PTH208 - names only


@pytest.fixture
def debian(tmp_path: Path) -> Debian:
    return Debian(tmp_path)


def test_find_prefers_path_and_knows_debians_name_for_alertmanager(tmp_path: Path) -> None:
    on_path, kept = tmp_path / "path", tmp_path / "tools"
    for name in ("prometheus", "prometheus-alertmanager", "amtool"):
        program(on_path, name)
    for name in ("prometheus", "promtool"):
        program(kept, name)

    found = find(kept, str(on_path))

    assert found == Tools(
        prometheus=on_path / "prometheus",
        promtool=kept / "promtool",
        alertmanager=on_path / "prometheus-alertmanager",
        amtool=on_path / "amtool",
    )


def test_find_says_in_one_line_what_is_absent(tmp_path: Path) -> None:
    program(tmp_path / "path", "prometheus")
    (tmp_path / "path" / "amtool").write_text("not a program")

    found = find(tmp_path / "tools", str(tmp_path / "path"))

    assert isinstance(found, Missing)
    assert found.why.startswith("alertmanager, amtool, promtool found neither on PATH nor in")
    assert "\n" not in found.why


def test_fetch_unpacks_debians_packages_and_finds_them_again(debian: Debian) -> None:
    said: list[str] = []

    fetched = fetch(debian.tools_dir, str(debian.bin), progress=said.append)

    programs = debian.tools_dir / FETCHED / "usr/bin"
    assert fetched == Tools(
        prometheus=programs / "prometheus",
        promtool=programs / "promtool",
        alertmanager=debian.tools_dir / FETCHED / "bin/alertmanager",
        amtool=programs / "amtool",
    )
    assert fetched == find(debian.tools_dir, "/nowhere")
    assert debian.left == [FETCHED]
    assert said == [
        "downloading prometheus, prometheus-alertmanager",
        "unpacking prometheus-alertmanager",
        "unpacking prometheus",
    ]


def test_fetched_alertmanager_finds_its_templates_from_any_folder_and_takes_its_arguments(
    debian: Debian, tmp_path: Path
) -> None:
    debian.dpkg(action='/bin/cat "/usr/share/prometheus/alertmanager/default.tmpl"; echo "$*"')
    fetched = fetch(debian.tools_dir, str(debian.bin))
    assert isinstance(fetched, Tools)

    said = subprocess.run(
        [fetched.alertmanager, "--one", "two words"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    assert said.stdout == "a template\n--one two words\n"


def test_fetch_fetches_nothing_when_all_is_there(debian: Debian) -> None:
    for names in tools.NAMES.values():
        program(debian.bin, names[0])
    debian.apt(download="exit 1")

    assert isinstance(fetch(debian.tools_dir, str(debian.bin)), Tools)
    assert debian.left == []


def test_fetch_uses_package_lists_of_its_own_where_the_system_has_none(debian: Debian) -> None:
    lists = '$(sed -n \'s/^Dir::State::Lists "\\(.*\\)";/\\1/p\' "$settings")'
    debian.apt(
        update=f'echo here > "{lists}/index"',
        download=f'[ -f "{lists}/index" ] || {{ echo "E: Unable to locate package $1" >&2; exit 100; }}',
    )

    assert isinstance(fetch(debian.tools_dir, str(debian.bin)), Tools)
    assert debian.left == [FETCHED]


@pytest.mark.parametrize(
    ("apt", "dpkg", "said"),
    [
        pytest.param(
            {
                "update": "echo 'W: Failed to fetch http://deb  Temporary failure resolving deb' >&2",
                "download": "echo 'E: Unable to locate package prometheus' >&2; exit 100",
            },
            {},
            "Failed to fetch http://deb  Temporary failure resolving deb",
            id="no network",
        ),
        pytest.param(
            {"download": "echo 'N: no matter\nE: Unable to locate package prometheus\nE: more' >&2; exit 100"},
            {},
            "apt-get download failed: Unable to locate package prometheus",
            id="no such package",
        ),
        pytest.param({"download": "exit 7"}, {}, "apt-get download failed: status 7", id="a silent failure"),
        pytest.param(
            {},
            {"also": "echo 'dpkg-deb: error: disk full' >&2; exit 2"},
            "dpkg-deb: error: disk full",
            id="a full disk",
        ),
        pytest.param({}, {"status": 1}, "prometheus failed: status 1", id="programs for another machine"),
    ],
)
def test_fetch_that_fails_says_why_in_one_line_and_leaves_nothing(
    debian: Debian, apt: dict[str, str], dpkg: dict[str, object], said: str
) -> None:
    debian.apt(**apt)
    debian.dpkg(**dpkg)  # type: ignore[arg-type]  # a table cannot say which key has which type

    fetched = fetch(debian.tools_dir, str(debian.bin))

    assert isinstance(fetched, Missing)
    assert said in fetched.why
    assert "\n" not in fetched.why
    assert fetched.why.endswith("install Prometheus and Alertmanager yourself and put them on PATH")
    assert debian.left == []


def test_fetch_on_another_system_says_so(tmp_path: Path) -> None:
    fetched = fetch(tmp_path / "tools", str(tmp_path))

    assert isinstance(fetched, Missing)
    assert fetched.why.startswith("not a Debian or Ubuntu system: there is no apt-get")
    assert not (tmp_path / "tools").exists()


def test_fetch_into_a_folder_that_cannot_be_made_says_so(debian: Debian) -> None:
    debian.tools_dir.write_text("a file")

    fetched = fetch(debian.tools_dir, str(debian.bin))

    assert isinstance(fetched, Missing)
    assert fetched.why.startswith(f"cannot write into {debian.tools_dir}")


def test_fetch_past_its_deadline_ends_apt_and_what_apt_started(
    debian: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    debian.apt(download=f"sleep 600 > {alive} & sleep 600 > {alive}")
    monkeypatch.setattr(debian_packages, "DOWNLOAD_DEADLINE_S", 0.5)

    fetched = fetch(debian.tools_dir, str(debian.bin))

    assert isinstance(fetched, Missing)
    assert "apt-get download did not finish within 0.5 s" in fetched.why
    assert debian.left == []
    # End of file comes only once every process that holds the other end has gone.
    assert select.select([reader], [], [], 10)[0]
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_fetch_debian_unpacks_any_packages_together_and_only_once(debian: Debian) -> None:
    root = fetch_debian(debian.tools_dir, ["wrk", "nginx"], str(debian.bin))
    debian.apt(download="exit 1")
    again = fetch_debian(debian.tools_dir, ["nginx", "wrk"], str(debian.bin))

    assert root == again == debian.tools_dir / "nginx+wrk"
    assert (root / "usr/bin/thing").exists()


def test_fetch_debian_takes_the_result_of_a_faster_process(debian: Debian) -> None:
    debian.dpkg(also=f"mkdir -p {debian.tools_dir}/wrk/usr; touch {debian.tools_dir}/wrk/usr/theirs")

    root = fetch_debian(debian.tools_dir, ["wrk"], str(debian.bin))

    assert (root / "usr/theirs").exists()
    assert debian.left == ["wrk"]


def test_fetch_debian_raises_what_a_caller_can_tell_apart(debian: Debian) -> None:
    debian.apt(download="exit 1")

    with pytest.raises(Unavailable):
        fetch_debian(debian.tools_dir, ["wrk"], str(debian.bin))
    with pytest.raises(Unsupported):
        fetch_debian(debian.tools_dir, ["wrk"], "/nowhere")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, "home/.local/share/springtide/tools", id="the user's"),
        pytest.param({"XDG_DATA_HOME": "data"}, "data/springtide/tools", id="where the desktop's rules say"),
        pytest.param({"SPRINGTIDE_TOOLS_DIR": "mine", "XDG_DATA_HOME": "data"}, "mine", id="a folder that was named"),
    ],
)
def test_tools_are_in_one_place_wherever_commands_are_run(
    environ: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {name: str(tmp_path / value) for name, value in environ.items()}

    assert tools_folder(None, {"HOME": str(tmp_path / "home"), **given}) == tmp_path / expected


def test_a_checkout_has_tools_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".tools").mkdir()
    monkeypatch.chdir(tmp_path)

    assert tools_folder(None, {"HOME": str(tmp_path / "home")}) == tmp_path / ".tools"
    assert tools_folder(Path("given"), {}) == tmp_path / "given"

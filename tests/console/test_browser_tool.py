"""Finding and fetching a Chromium, with small shell programs in the place of apt-get, dpkg and Chromium."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from springtide.cli import browser
from springtide.cli.tools import Missing

SYSTEM = "/usr/bin:/bin"
FETCHED = "chromium-headless-shell+fonts-inter+fonts-jetbrains-mono"


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\nPATH={SYSTEM}\n{text}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """A PATH whose apt-get brings a Chromium and one library of it, and notes what it was asked."""
    programs = tmp_path / "bin"
    program(
        programs,
        "apt-get",
        f"""echo "$*" >> {tmp_path}/asked
for word in "$@"; do
    case "$word" in -oDir::Cache::Archives=*) archives="${{word#*Archives=}}" ;; esac
done
touch "$archives/chromium-headless-shell_1_amd64.deb" "$archives/libneeded_1_amd64.deb" """,
    )
    program(
        programs,
        "dpkg",
        """root="$3"
case "$2" in
    *libneeded*) mkdir -p "$root/usr/lib/some"; touch "$root/usr/lib/some/libneeded.so.1" ;;
    *)
        mkdir -p "$root/usr/lib/chromium"
        program="$root/usr/lib/chromium/chromium-headless-shell"
        printf '#!/bin/sh\\necho "$LD_LIBRARY_PATH $FONTCONFIG_FILE $*"\\n' > "$program"
        chmod +x "$program" ;;
esac""",
    )
    return programs


def test_chromium_on_path_is_used_if_it_runs(tmp_path: Path) -> None:
    program(tmp_path, "chromium-browser", "echo 'install the snap' >&2; exit 1")
    wanted = program(tmp_path, "google-chrome", "exit 0")

    assert browser.find(tmp_path / "tools", str(tmp_path)) == wanted


def test_none_is_told_with_what_to_do(tmp_path: Path) -> None:
    found = browser.find(tmp_path / "tools", str(tmp_path))

    assert isinstance(found, Missing)
    assert found.why.endswith("put it on PATH, or run: playwright install chromium-headless-shell")


def test_fetched_one_comes_with_what_it_needs_and_works_from_where_it_was_moved(debian: Path, tmp_path: Path) -> None:
    fetched = browser.fetch(tmp_path / "tools", str(debian))
    (tmp_path / "tools").rename(tmp_path / "moved")

    assert fetched == tmp_path / "tools" / FETCHED / "bin/chromium"
    asked = (tmp_path / "asked").read_text()
    assert "install --download-only --no-install-recommends" in asked
    here = tmp_path / "moved" / FETCHED
    said = subprocess.run([here / "bin/chromium", "--flag"], capture_output=True, text=True, check=True, timeout=300)
    libraries, fonts, flag = said.stdout.split()
    assert f"{here}/usr/lib/some" in libraries.split(":")
    assert (fonts, flag) == (f"{here}/bin/fonts.conf", "--flag")


def test_fetch_that_fails_says_why(debian: Path, tmp_path: Path) -> None:
    program(debian, "apt-get", "echo 'E: Unable to locate package chromium-headless-shell' >&2; exit 100")

    found = browser.fetch(tmp_path / "tools", str(debian))

    assert isinstance(found, Missing)
    assert "Unable to locate package chromium-headless-shell" in found.why
    assert list((tmp_path / "tools").iterdir()) == []

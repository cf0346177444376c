"""Who downloads a release can check it with nothing but what OpenSSH and coreutils bring."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from release.errors import Failed
from release.signing import SIGNATURE, SUMS, reasons_against, sign, write_sums
from tests.release.repository import ROOT


@pytest.fixture
def key(tmp_path: Path) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not here")
    path = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.whl").write_bytes(b"a wheel")
    (folder / "b.tgz").write_bytes(b"a chart")
    return folder


def verified(out: Path, key: Path) -> bool:
    """As the release notes tell it."""
    signers = key.with_name("allowed_signers")
    signers.write_text(f"releases@springtide {key.with_suffix('.pub').read_text()}")
    command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "releases@springtide", "-n", "file"]
    done = subprocess.run(
        [*command, "-s", str(out / SIGNATURE)],
        input=(out / SUMS).read_bytes(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode == 0


def test_checksums_are_those_that_sha256sum_checks(out: Path) -> None:
    sums = write_sums(out)
    check = ["sha256sum", "--check", "--strict", sums.name]

    whole = subprocess.run(check, cwd=out, capture_output=True, text=True, timeout=60, check=False)
    (out / "a.whl").write_bytes(b"another")
    changed = subprocess.run(check, cwd=out, capture_output=True, text=True, timeout=60, check=False)

    assert (whole.returncode, whole.stdout) == (0, "a.whl: OK\nb.tgz: OK\n")
    assert changed.returncode == 1


def test_a_signature_is_of_the_key_and_of_the_checksums(out: Path, key: Path) -> None:
    told = sign(write_sums(out), key)

    assert 'Good "file" signature with ED25519 key SHA256:' in told
    assert verified(out, key)
    (out / SUMS).write_text((out / SUMS).read_text().replace("a.whl", "c.whl"))
    assert not verified(out, key)


def test_signing_again_replaces_the_signature_and_asks_nothing(out: Path, key: Path) -> None:
    sign(write_sums(out), key)
    (out / "c.json").touch()

    sign(write_sums(out), key)

    assert verified(out, key)
    assert SIGNATURE not in (out / SUMS).read_text()


def test_what_is_no_key_signs_nothing(out: Path) -> None:
    no_key = out.with_name("no-key")
    no_key.write_text("nonsense")
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not here")

    with pytest.raises(Failed, match="exit status"):
        sign(write_sums(out), no_key)

    assert not (out / SIGNATURE).exists()


def test_the_key_is_a_setting_and_no_file_of_the_repository(tmp_path: Path) -> None:
    outside = tmp_path / "key"
    outside.touch()
    link = tmp_path / "link"
    link.symlink_to(ROOT / "LICENSE")

    assert reasons_against(outside, ROOT, unsigned=False) == []
    assert reasons_against(None, ROOT, unsigned=True) == []
    assert "name one with --signing-key or RELEASE_SIGNING_KEY" in reasons_against(None, ROOT, unsigned=False)[0]
    assert "no such file" in reasons_against(tmp_path / "none", ROOT, unsigned=False)[0]
    assert "is in the repository" in reasons_against(ROOT / "LICENSE", ROOT, unsigned=False)[0]
    assert "is in the repository" in reasons_against(link, ROOT, unsigned=False)[0]
    assert "leave one of them out" in reasons_against(outside, ROOT, unsigned=True)[0]

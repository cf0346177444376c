"""RELEASE_NOTES.md: what is new, what the files are, and how to see that they are ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from release.bill import EXTRAS
from release.preconditions import Release
from release.signing import NAMESPACE, SIGNATURE, SUMS

FILE = "RELEASE_NOTES.md"
KINDS = {
    ".whl": "what `pip install` takes; with it the manual and completion for bash, zsh and fish",
    ".tar.gz": "its sources",
    ".tgz": "the Helm chart",
    "-image.tar": "the container image, for `podman load` or `docker load`",
    ".cdx.json": f"the bill of materials of `springtide[{EXTRAS}]`, which is with every extra, by CycloneDX",
}


def write(release: Release, out: Path, left_out: Sequence[str]) -> Path:
    """Of what is in ``out`` so far; ``left_out`` is what it should have had, with the reasons."""
    date = datetime.fromtimestamp(release.date_s, UTC).strftime("%Y-%m-%d")
    files = [f"- `{path.name}`: {_kind(path.name)}" for path in sorted(out.iterdir()) if _kind(path.name)]
    missing = [f"- not here: {one}" for one in left_out]
    text = f"""# Springtide {release.version}

{date}, commit {release.commit}.

{release.changes}

## Files

{chr(10).join([*files, *missing])}

`sha256sum --check {SUMS}` says whether they are whole. Whether they are ours, with our public key after our name in a
file `allowed_signers` (`releases@springtide ssh-ed25519 AAAA…`):

    ssh-keygen -Y verify -f allowed_signers -I releases@springtide -n {NAMESPACE} -s {SIGNATURE} < {SUMS}
"""
    (out / FILE).write_text(text)
    return out / FILE


def _kind(name: str) -> str | None:
    return next((kind for ending, kind in KINDS.items() if name.endswith(ending)), None)

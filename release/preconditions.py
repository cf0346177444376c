"""Whether a version may be released: from one commit, with its changes told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.versions import FILES, ROOT, project_version, with_version
from release import changelog
from release.errors import Refused
from release.programs import run

MAX_FILES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Release:
    root: Path
    """The checkout; only Git reads it, and only the commit is read of it."""
    version: str
    commit: str
    date_s: int
    """When it was committed, in seconds since 1970: the time of everything in the release."""
    changes: str
    """The version's section of CHANGELOG.md."""

    @property
    def tag(self) -> str:
        return f"v{self.version}"


def examine(root: Path, more: Sequence[str] = ()) -> Release:
    """The release that the checkout at ``root`` stands for.

    Raises Refused with all reasons against it, ``more`` among them, and Failed where Git does not answer.
    """
    version = project_version(root)
    changes = (root / "CHANGELOG.md").read_text()
    reasons = [*_files(root), *_tag(root, f"v{version}"), *_changes(changes, version), *_repeated(root, version), *more]
    if reasons:
        raise Refused(reasons)
    commit, date_s = git(root, "show", "--no-patch", "--format=%H %ct", "HEAD").split()
    return Release(root, version, commit, int(date_s), changelog.section(changes, version) or "")


def git(root: Path, *words: str) -> str:
    return run(["git", "-C", root, *words]).decode()


def _files(root: Path) -> list[str]:
    changed = [line[3:] for line in git(root, "status", "--porcelain").splitlines()]
    if not changed:
        return []
    more = f" and {len(changed) - MAX_FILES_SHOWN} more" if len(changed) > MAX_FILES_SHOWN else ""
    return [f"not as committed: {', '.join(changed[:MAX_FILES_SHOWN])}{more}; commit or remove that"]


def _tag(root: Path, tag: str) -> list[str]:
    """At this very commit it is no hindrance: what is made is what was tagged."""
    if not git(root, "tag", "--list", tag).strip():
        return []
    of = git(root, "rev-parse", f"refs/tags/{tag}^{{commit}}", "HEAD").split()
    if of[0] == of[1]:
        return []
    where = f"the tag {tag} is there already, at commit {of[0][:12]}"
    return [f"{where}: that version was released; write another one into pyproject.toml"]


def _changes(text: str, version: str) -> list[str]:
    reasons = []
    if not changelog.section(text, version):
        reasons.append(f"CHANGELOG.md has nothing below `## {version}`; say there what users will notice")
    if changelog.section(text, changelog.UNRELEASED):
        unreleased = changelog.UNRELEASED
        reasons.append(f"CHANGELOG.md has changes below `## {unreleased}`; move them below `## {version}`")
    return reasons


def _repeated(root: Path, version: str) -> list[str]:
    """Files that state another version: they would be published with it."""
    places = [path.relative_to(ROOT) for path in FILES]
    wrong = [str(place) for place in places if (text := (root / place).read_text()) != with_version(text, root)]
    return [f"{', '.join(wrong)}: not version {version}; run: python -m deploy"] if wrong else []

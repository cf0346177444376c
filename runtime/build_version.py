"""Which build this is, as the installation tells it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

from springtide.runtime import bounded_json

DISTRIBUTION = "springtide"


@dataclass(frozen=True, slots=True)
class Version:
    """``sha`` is the commit it was built from, or the release where none is recorded: clients fail on an empty one."""

    release: str
    sha: str = ""
    commit_message: str = ""

    def __post_init__(self) -> None:
        if not self.sha:
            object.__setattr__(self, "sha", self.release)

    @classmethod
    def installed(cls) -> Version:
        """The version of the installed distribution; ``dev`` when run from a tree that was not installed."""
        try:
            distribution = metadata.distribution(DISTRIBUTION)
        except metadata.PackageNotFoundError:
            return cls("dev")
        return cls(distribution.version, _commit(distribution.read_text("direct_url.json")))


def _commit(direct_url: str | None) -> str:
    """What an installer notes of a distribution that came from a repository (PEP 610); empty for any other."""
    try:
        return str(bounded_json.loads(direct_url or "")["vcs_info"]["commit_id"])
    except (ValueError, KeyError, TypeError):
        return ""

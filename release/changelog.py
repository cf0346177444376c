"""What CHANGELOG.md says of a version."""

from __future__ import annotations

UNRELEASED = "Unreleased"


def section(text: str, name: str) -> str | None:
    """What stands below the heading ``## NAME`` (a date may follow the name); None where there is no such heading."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("## ") and line[3:].split() and line[3:].split()[0] == name:
            break
    else:
        return None
    found = []
    for line in lines:
        if line.startswith("## "):
            break
        found.append(line)
    return "\n".join(found).strip()

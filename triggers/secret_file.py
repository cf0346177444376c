"""A password of a source: in a file, and in nothing that is shown."""

from __future__ import annotations

from pathlib import Path

from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_whole


def password(path: str) -> str | None:
    """What is in the file, without white space around it; None where ``path`` is empty. Raises BadInput."""
    if not path:
        return None
    try:
        return read_whole(Path(path)).decode().strip()
    except OSError as error:
        raise BadInput(f"password_path: {path}: {error.strerror}") from error
    except UnicodeDecodeError:  # its own text has a part of the password
        raise BadInput(f"password_path: {path}: not a text in UTF-8") from None

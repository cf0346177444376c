"""Files that are whole or absent, whatever happens in between."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from pathlib import Path

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput

MAX_PREFIX = 40
"""Characters of a name that its temporary file begins with: a name may be as long as the file system allows."""
DAMAGED = ".damaged-"


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace ``path`` by a file with ``data``; a reader or a crash sees the old content or the new, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:MAX_PREFIX]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def set_aside(path: Path, now: float, *, into: Path | None = None) -> Path:
    """Rename a file that cannot be read to ``NAME.damaged-TIME``; returns where it is. Raises OSError.

    ``now`` in seconds since the epoch. It stays in its folder unless told ``into`` which of the same disk.
    """
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    return path.rename((into or path.parent) / f"{path.name}{DAMAGED}{at}")


def make_way(path: Path, now: float, *, folder: bool = False) -> Path | None:
    """Set aside what is at ``path`` and is no file, or no folder where one is to be; returns where it is then.

    None when nothing was in the way. Raises OSError.
    """
    if not os.path.lexists(path) or (path.is_dir() if folder else path.is_file()):
        return None
    return set_aside(path, now)


def read_whole(path: Path) -> bytes:
    """All of a regular file. Raises OSError, for anything else too: a pipe would be waited at for ever."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        kind = os.fstat(handle).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def read_json(path: Path) -> object:
    """The JSON value in ``path``; raises BadInput naming file, place and remedy when it is not JSON, and OSError."""
    try:
        value: object = bounded_json.loads(read_whole(path))
    except ValueError as error:
        raise BadInput(f"{path}: not readable as JSON ({error}); restore it from a copy or move it away") from error
    return value

"""Entry point of the ``springtide`` command and of ``python -m springtide.cli``; the only reader of the environment."""

from __future__ import annotations

import os
import sys

from springtide.cli.command_line import READER_GONE, run
from springtide.runtime.lossy_stream import hold_standard_descriptors


def main() -> None:
    """Run the command line of this process and leave with its status."""
    hold_standard_descriptors()
    status = run(sys.argv[1:], dict(os.environ))
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # The reader is gone, or the disk full: what is still buffered is lost, and the interpreter must not try.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = status or (READER_GONE if isinstance(error, BrokenPipeError) else 1)
    sys.exit(status)


if __name__ == "__main__":
    main()

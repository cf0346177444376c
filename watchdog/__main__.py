"""A replica that is a container's first process: ``python -m springtide.watchdog [FOLDER [TEMPLATE]]``.

FOLDER has a Python handler; without one the environment names what to run. Serves at port 8080, as every image of
OpenFaaS's does, until SIGTERM; how long calls in flight may take then is for whoever stops the container to say.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path

from . import serve
from .handler_loading import made_folder
from .serve import ReplicaSpec

PORT = 8080
BACKLOG = 1024
LINGER_S, GRACE_S = 0.2, 3600.0


def main(folder: str = "", lang: str = "") -> int:
    listener = socket.create_server(("0.0.0.0", PORT), backlog=BACKLOG)
    read, write = os.pipe()
    if folder:
        os.chdir(made_folder(Path(folder), Path(tempfile.gettempdir())))
    replica = ReplicaSpec(
        socket.gethostname(),
        dict(os.environ),
        linger_s=LINGER_S,
        grace_s=GRACE_S,
        handler=folder or None,
        lang=lang,
    )
    status = serve.run(replica, listener=listener.detach(), ready=write)
    os.close(read)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))

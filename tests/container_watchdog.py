"""What runs in the containers of tests: our watchdog as the first process, as OpenFaaS's is in its images."""

import os
import socket
import sys

sys.path.insert(0, "/opt")

from springtide.watchdog import serve
from springtide.watchdog.serve import ReplicaSpec


def main() -> int:
    listener = socket.create_server(("0.0.0.0", 8080), backlog=1024)
    read, write = os.pipe()
    replica = ReplicaSpec(socket.gethostname(), dict(os.environ), linger_s=0.2, grace_s=30.0)
    status = serve.run(replica, listener=listener.detach(), ready=write)
    os.close(read)
    return status


if __name__ == "__main__":
    sys.exit(main())

"""What our clients bring along for a server that talks TLS."""

from __future__ import annotations

import subprocess
import sys

LATE = """
import ssl, sys
from springtide.runtime.tls import client_context
context = client_context()
print("certifi" in sys.modules)
wrapped = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
print(len(wrapped.context.get_ca_certs()) > 50)
print(wrapped.context.verify_mode.name, wrapped.context.check_hostname)
"""


def test_authorities_are_read_for_the_first_connection_which_is_checked() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.splitlines() == ["False", "True", "CERT_REQUIRED True"]

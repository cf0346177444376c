"""What the machine is that the function runs on."""

from __future__ import annotations

import json
import os
import platform
import socket
import time
from os import environ  # Function code, run in a replica: its environment is its settings.
from typing import Any


def handle(event: Any, _context: Any) -> dict[str, Any]:
    """JSON, or lines of text where the caller asks for ``?output=text``."""
    about = {
        "hostname": socket.gethostname(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "uptime_s": round(time.clock_gettime(time.CLOCK_BOOTTIME)),
        "function": environ.get("OPENFAAS_NAME", ""),
    }
    if event.query.get("output") == "text":
        body = "".join(f"{name}: {value}\n" for name, value in about.items())
        return {"statusCode": 200, "body": body, "headers": {"Content-Type": "text/plain; charset=utf-8"}}
    return {"statusCode": 200, "body": json.dumps(about), "headers": {"Content-Type": "application/json"}}

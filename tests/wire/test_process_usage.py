from __future__ import annotations

import os
import subprocess
import sys

from prometheus_client import CollectorRegistry, generate_latest

from springtide.scaler.core import catalogue
from springtide.wire.process_usage import show_usage


def test_usage_tells_memory_and_processor_time_of_each_process() -> None:
    registry = CollectorRegistry()
    show_usage(registry, lambda: {"main": os.getpid()})

    memory = registry.get_sample_value(catalogue.PROCESS_MEMORY.name, {"process": "main"})
    cpu = registry.get_sample_value(catalogue.PROCESS_CPU.name, {"process": "main"})

    assert memory is not None
    assert memory > 1_000_000
    assert cpu is not None
    assert cpu > 0


def test_usage_says_nothing_of_a_process_that_has_ended() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    registry = CollectorRegistry()
    show_usage(registry, lambda: {"main": os.getpid(), "worker-1": ended.pid})

    text = generate_latest(registry).decode()

    assert 'process="main"' in text
    assert 'process="worker-1"' not in text

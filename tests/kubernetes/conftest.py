"""Every test of this folder runs inside a pod network; see the emulator's README."""

from __future__ import annotations

from pathlib import Path

from tests.kubernetes.pod_network import inside_pod_network, pod_network

pytest_runtest_protocol = inside_pod_network(Path(__file__).parent)

__all__ = ["pod_network"]

"""A complete provider that keeps everything in memory: for tests, and for embedding where functions live elsewhere.

Replicas come from two callables handed in, so that a test's HTTP servers, or whatever an embedder runs, stand in for
them; without any, a replica is ready at once at an address that nobody serves. Nothing survives the process.
"""

from springtide.provider.memory.provider import MemoryProvider
from springtide.provider.memory.replicas import StartReplica, StopReplica, ready_after

__all__ = ["MemoryProvider", "StartReplica", "StopReplica", "ready_after"]

"""How large what is deployed may be: what a process can be given, what every gateway is told, what is kept on disk."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from springtide.runtime.errors import BadInput
from springtide.scaler.core import prewarm
from springtide.scaler.core.policy import MAX_REPLICAS

MAX_IMAGE_BYTES = 1_024
MAX_VARIABLE_BYTES = 131_071
"""Name, equals sign and value; Linux starts no program with a longer one."""
MAX_ENVIRONMENT_BYTES = 262_144
"""Altogether: a program is started with it, the headers of a call beside it, and each start sends it to the host."""
MAX_ENTRIES = 256
"""Of a list, or an object."""
MAX_LABELS_BYTES, MAX_ANNOTATIONS_BYTES = 65_536, 262_144
"""Names and values together; the second is Kubernetes' own bound."""


def image_problems(image: str) -> Iterator[str]:
    if _size(image) > MAX_IMAGE_BYTES:
        yield f"image: {_size(image)} bytes long; at most {MAX_IMAGE_BYTES}"


def environment_problems(env_process: str, env_vars: Mapping[str, str]) -> Iterator[str]:
    """Values are secrets as often as not, and are never shown."""
    sizes = {key: _size(key) + _size(value) + 1 for key, value in {"fprocess": env_process, **env_vars}.items()}
    for key, size in sizes.items():
        if size > MAX_VARIABLE_BYTES:
            yield (
                f"envVars: {key[:80]!r} is {size} bytes long, at most {MAX_VARIABLE_BYTES} can be passed to a process; "
                "put long texts into a secret or a file"
            )
    if sum(sizes.values()) > MAX_ENVIRONMENT_BYTES:
        yield (
            f"envVars: {sum(sizes.values())} bytes altogether, at most {MAX_ENVIRONMENT_BYTES}; put long texts into a "
            "secret or a file"
        )


def check_learned_wake(replicas: int) -> None:
    """Raises BadInput."""
    if not 1 <= replicas <= MAX_REPLICAS:
        raise BadInput(f"replicas: {replicas} is out of range; a wake starts 1 to {MAX_REPLICAS}")


MAX_START_S = 86_400.0


def kept_start(longest_s: float) -> float:
    """To a tenth of a second, never less than it was. Raises BadInput."""
    if not 0 <= longest_s <= MAX_START_S:
        raise BadInput(f"longestStartSeconds: {longest_s:g} is out of range; write 0 to {MAX_START_S:g}")
    return prewarm.rounded(longest_s)


def entry_problems(what: str, entries: Collection[str]) -> Iterator[str]:
    if len(entries) > MAX_ENTRIES:
        yield f"{what}: {len(entries)} entries; at most {MAX_ENTRIES}"


def metadata_problems(what: str, given: Mapping[str, str], max_bytes: int) -> Iterator[str]:
    """``what`` is labels or annotations."""
    yield from entry_problems(what, given)
    size = sum(_size(key) + _size(value) for key, value in given.items())
    if size > max_bytes:
        yield f"{what}: {size} bytes altogether; at most {max_bytes}"


def _size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))

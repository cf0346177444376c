"""How functions are run on a cluster, under the names that OpenFaaS's provider gave them where it had them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from springtide.runtime.settings import boolean, duration, integer, setting

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
SLEEP_SINCE = (1, 30)
"""Kubernetes knows ``preStop.sleep`` by default from here on; 1.29 refuses it."""


def pull_policy(text: str) -> str:
    """``Always``, ``IfNotPresent`` or ``Never``. Raises ValueError."""
    if text not in PULL_POLICIES:
        raise ValueError(f"{text!r}: write one of {', '.join(PULL_POLICIES)}")
    return text


@dataclass(frozen=True, kw_only=True)
class ManifestSettings:
    """Durations in seconds; Kubernetes counts whole ones."""

    http_probe: bool = setting(
        True,  # noqa: FBT003 - the default comes first in every setting
        env="http_probe",
        kind=boolean,
        help="ask functions over HTTP how they are; false: look for /tmp/.lock",
    )
    set_nonroot_user: bool = setting(
        False,  # noqa: FBT003 - as above
        env="set_nonroot_user",
        kind=boolean,
        help="run functions as user 12000, without any capability",
    )
    image_pull_policy: str = setting(
        "Always", env="image_pull_policy", kind=pull_policy, help="Always, IfNotPresent or Never"
    )
    readiness_delay_s: float = setting(
        0.0, env="readiness_probe_initial_delay_seconds", kind=duration, low=0, help="pause before the first look"
    )
    readiness_period_s: float = setting(
        1.0, env="readiness_probe_period_seconds", kind=duration, low=1, help="pause between looks at readiness"
    )
    readiness_timeout_s: float = setting(
        1.0, env="readiness_probe_timeout_seconds", kind=duration, low=1, help="time to answer about readiness"
    )
    liveness_delay_s: float = setting(
        2.0, env="liveness_probe_initial_delay_seconds", kind=duration, low=0, help="pause before the first look"
    )
    liveness_period_s: float = setting(
        5.0, env="liveness_probe_period_seconds", kind=duration, low=1, help="pause between looks at liveness"
    )
    liveness_timeout_s: float = setting(
        5.0, env="liveness_probe_timeout_seconds", kind=duration, low=1, help="time to answer about liveness"
    )
    prestop_s: int = setting(
        2,
        env="function_prestop_seconds",
        kind=integer,
        low=0,
        high=60,
        help="seconds a pod that goes still takes calls, from Kubernetes 1.30 on; 0: none",
    )

    def on(self, version: str | tuple[int, int]) -> ManifestSettings:
        """These settings on a cluster of this version, such as ``v1.29.4`` or ``(1, 29)``; an unknown one is old."""
        if isinstance(version, str):
            told = _VERSION.match(version)
            version = (int(told[1]), int(told[2])) if told else (0, 0)
        return self if version >= SLEEP_SINCE else replace(self, prestop_s=0)

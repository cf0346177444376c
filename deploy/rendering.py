"""The chart rendered by Helm's own engine, which a Python package carries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "chart"
RELEASE, NAMESPACE = "springtide", "openfaas"

FIRST = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "PersistentVolumeClaim",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Service",
)
"""Kinds in the order of their use: kubectl applies in the order of the file. All others come last."""

PLAIN = {"createCoreNamespace": True, "generateBasicAuthBy": "job"}
"""What kubectl needs said that Helm does by itself."""

MANIFESTS: Mapping[str, Mapping[str, object]] = {
    "springtide.yaml": PLAIN,
    "springtide-operator.yaml": {**PLAIN, "operator": {"create": True}},
    "springtide-all-namespaces.yaml": {**PLAIN, "clusterRole": True},
}
"""Plain manifests → the values they are rendered with."""

OUTLIVING = ("Namespace", "CustomResourceDefinition")
"""Kinds that plain manifests do not have: ``kubectl delete -f`` of them would delete every function with them."""

NAMESPACES = "namespaces.yaml"
"""The plain manifest of the namespaces alone. The definitions have files of their own already."""

Object = dict[str, Any]


def render(values: Mapping[str, Any], *, namespace: str = NAMESPACE) -> str:
    """What ``helm template springtide deploy/chart --include-crds`` prints, in an order that kubectl can apply.

    Raises ``helm_python.HelmError`` for values that the schema refuses.
    """
    import helm_python  # noqa: PLC0415 - 75 MB, of the test extra only

    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(dict(values))
        rendered = chart.render(dict(values), name=RELEASE, namespace=namespace)
        crds = [crd["data"] for crd in chart.crds]
    texts = [text for name, text in sorted(rendered.items()) if name.endswith(".yaml")]
    documents = [part.strip() for text in (*crds, *texts) for part in re.split(r"^---$", text, flags=re.MULTILINE)]
    kinds = [(_rank(parsed["kind"]), part) for part in documents if (parsed := yaml.safe_load(part)) is not None]
    return "".join(f"---\n{part}\n" for _, part in sorted(kinds, key=lambda item: item[0]))


def plain_manifests(header: str) -> dict[str, str]:
    """Each file's text; ``header`` tells the ``{values}`` it was rendered with."""
    files = {
        name: header.format(values=dict(values)) + _only(render(values), lambda kind: kind not in OUTLIVING)
        for name, values in MANIFESTS.items()
    }
    namespaces = _only(render(PLAIN), lambda kind: kind == "Namespace")
    return {NAMESPACES: header.format(values=dict(PLAIN)) + namespaces, **files}


def _only(manifests: str, wanted: Callable[[str], bool]) -> str:
    parts = [part for part in manifests.split("---\n") if part]
    return "".join(f"---\n{part}" for part in parts if wanted(yaml.safe_load(part)["kind"]))


def objects(manifests: str) -> Iterator[Object]:
    return (one for one in yaml.safe_load_all(manifests) if one is not None)


def _rank(kind: str) -> int:
    return FIRST.index(kind) if kind in FIRST else len(FIRST)

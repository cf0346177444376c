"""The chart's files: Prometheus's and Alertmanager's configuration, rules, dashboards.

``rules`` writes configurations for the namespaces everybody has. Here each place that an installation may change
becomes an expression, which the chart evaluates. A place that is not there any more is an error, not a configuration
that silently stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from springtide.rules.kubernetes import CORE_NAMESPACE, kubernetes_configuration
from springtide.rules.prometheus import ALERTMANAGER_FILE, PROMETHEUS_FILE
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE

DASHBOARDS = Path(__file__).parents[1] / "dashboards" / "generated"
NOTE = "# Written by `python -m deploy` from rules/; do not edit.\n"

_IN_PROMETHEUS: Mapping[str, str] = {
    f"      - {CORE_NAMESPACE}\n": "      - {{ .Release.Namespace }}\n",
    f"      names:\n      - {DEFAULT_NAMESPACE}\n": '      names: {{ include "springtide.functionNamespaces" . }}\n',
    f"  - static_configs:\n    - targets:\n      - alertmanager.{CORE_NAMESPACE}:9093\n": (
        '  {{- $alertmanager := urlParse (include "springtide.alertmanagerUrl" .) }}\n'
        "  {{- if $alertmanager.host }}\n"
        "  - scheme: {{ $alertmanager.scheme }}\n"
        '    path_prefix: {{ $alertmanager.path | default "/" }}\n'
        "    static_configs:\n"
        "    - targets:\n"
        "      - {{ $alertmanager.host }}\n"
        "  {{- else }} []\n"
        "  {{- end }}\n"
    ),
}
_IN_ALERTMANAGER: Mapping[str, str] = {
    f"http://gateway.{CORE_NAMESPACE}:8080/": "http://gateway.{{ .Release.Namespace }}:8080/",
    "      basic_auth:\n        username: admin\n        password_file: /var/secrets/basic-auth-password\n": (
        "      {{- if .Values.basic_auth }}\n"
        "      basic_auth:\n        username: admin\n        password_file: /var/secrets/basic-auth-password\n"
        "      {{- end }}\n"
    ),
    "- name: operators\n": (
        "- name: operators\n"
        "  {{- with .Values.alertmanager.operatorsReceiver }}\n"
        "  {{- toYaml . | nindent 2 }}\n"
        "  {{- end }}\n"
    ),
}


def chart_files() -> Mapping[str, str]:
    """File name → content."""
    files = dict(kubernetes_configuration())
    files[PROMETHEUS_FILE] = _with_expressions(files[PROMETHEUS_FILE], _IN_PROMETHEUS)
    files[ALERTMANAGER_FILE] = _with_expressions(files[ALERTMANAGER_FILE], _IN_ALERTMANAGER)
    noted = {
        name: NOTE + text if name in (PROMETHEUS_FILE, ALERTMANAGER_FILE) else text for name, text in files.items()
    }
    return noted | {path.name: path.read_text() for path in sorted(DASHBOARDS.glob("*.json"))}


def _with_expressions(text: str, places: Mapping[str, str]) -> str:
    for place, expression in places.items():
        if place not in text:
            raise BadInput(f"rules/ does not write this any more; change it here, too:\n{place}")
        text = text.replace(place, expression)
    return text

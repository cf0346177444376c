"""``docs/runbooks/README.md``: every alert with its page, every threshold with its meaning. Made, not written."""

from __future__ import annotations

from collections.abc import Iterable

from springtide.rules.alerts import scaling_group
from springtide.rules.model import AlertRule
from springtide.rules.operators import OperatorRules
from springtide.rules.thresholds import Thresholds, settings
from springtide.rules.timing import DEFAULT, prometheus_duration

LABELS = ("source", "instance", "job", "signal", "writer", "process", "reason")
"""Of summaries, shown by their own names."""

HEAD = """\
<!-- Written by `python -m springtide.rules`; do not edit. -->

# Runbooks

One page for each alert: what it means, whom it hurts, how to look, what to do. Prometheus shows what fires at
`/alerts`, the console under "System". Alertmanager sends the alerts for people to its receiver `operators`, which is
empty until you [fill it](../how-to/pager.md).

The commands are for `springtide up`, with its addresses; in a cluster `kubectl -n openfaas logs deploy/PART` is the log
of a part, and `kubectl -n openfaas port-forward` brings its port here. PromQL goes into Prometheus's own page, or:

```sh
curl -sG -u "admin:$(cat ~/.local/state/springtide/secrets/basic-auth-password)" \\
  http://127.0.0.1:9090/api/v1/query --data-urlencode 'query=up'
```
"""

ALERTS_HEAD = """
## Alerts

`critical` wants somebody now, `warning` within the day. `major` is no alert for people: it scales.

| alert | severity | lasts | what it says |
|---|---|---|---|
"""

THRESHOLDS_HEAD = """
## Thresholds

All in `rules/thresholds.py`. Rules with other ones, and with links that open where your pages are:

```sh
python -m springtide.rules --to my-rules --set objective=0.999 --set cold_start_p95_s=2 --runbooks https://wiki.example/springtide
```

| name | default | what it is about |
|---|---|---|
"""


def runbook_index() -> str:
    operators = OperatorRules()
    alerts = [alert for group in (scaling_group(DEFAULT), *operators.groups(DEFAULT)) for alert in group.alerts]
    return HEAD + ALERTS_HEAD + "".join(_alerts(alerts)) + THRESHOLDS_HEAD + "".join(_thresholds(operators.thresholds))


def _alerts(alerts: Iterable[AlertRule]) -> Iterable[str]:
    for alert in alerts:
        link, says = f"[{alert.alert}]({alert.alert}.md)", plain(alert.summary)
        yield f"| {link} | {alert.labels['severity']} | {lasts(alert)} | {says} |\n"


def _thresholds(thresholds: Thresholds) -> Iterable[str]:
    for setting in settings(thresholds):
        yield f"| `{setting.name}` | {setting.value:g} {setting.unit}".rstrip() + f" | {setting.meaning} |\n"


def lasts(alert: AlertRule) -> str:
    return prometheus_duration(alert.pending_s) if alert.pending_s else "at once"


def plain(summary: str) -> str:
    """A summary with its placeholders as words."""
    words = {
        "{{ $labels.function_name }}": "*function*",
        "{{ with $labels.function_name }} for {{ . }}{{ end }}": "",
        "{{ $value | humanizePercentage }}": "*n* %",
        "{{ $value | humanizeDuration }}": "*n* s",
        "{{ $value | humanize1024 }}B": "*n* bytes",
        "{{ $value }}": "*n*",
        "{{ $labels.queue_name }}": "*queue*",
        **{f"{{{{ $labels.{label} }}}}": f"*{label}*" for label in LABELS},
    }
    for placeholder, word in words.items():
        summary = summary.replace(placeholder, word)
    return summary

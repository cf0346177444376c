"""The environment variables that commands look at, beside the settings of the parts."""

from __future__ import annotations

from collections.abc import Mapping

VARIABLES: Mapping[str, str] = {
    "OPENFAAS_URL": "gateway, where neither `--gateway` nor a stack file names one",
    "OPENFAAS_NS": "namespace, where `--namespace` does not say it",
    "OPENFAAS_CONFIG": "folder of faas-cli's `config.yml`, whose logins count here; `~/.openfaas` otherwise",
    "OPENFAAS_PAYLOAD_SECRET": "file with the secret that build requests are signed with",
    "OPENFAAS_STORE": "address of the function store, where `--url` does not say it",
    "PROMETHEUS_URL": "Prometheus that `replay` and `advise` ask, where `--prometheus` does not say it",
    "SPRINGTIDE_STATE_DIR": "folder of the suite that runs here, where `--state-dir` does not say it",
    "SPRINGTIDE_TOOLS_DIR": "folder with Prometheus, Alertmanager and the like, where `--tools-dir` does not say it",
    "XDG_STATE_HOME": "folder in which the state folder `springtide` is; `~/.local/state` otherwise",
    "XDG_DATA_HOME": "folder in which `springtide/tools` is; `~/.local/share` otherwise",
    "HOME": "folder of the user, where those above are looked for",
    "PATH": "where programs are found: Prometheus, Alertmanager, nats-server, Chromium",
    "NO_COLOR": "anything in it: no colours",
}

{{/* Data of ConfigMaps, from the files that `python -m deploy` makes of rules/. Only configurations have expressions of
     ours; the rules have Prometheus's. */}}
{{- define "springtide.monitoring.prometheus" -}}
prometheus.yml: |
  {{- tpl (.Files.Get "files/prometheus.yml") . | nindent 2 }}
{{- range $path, $_ := .Files.Glob "files/*.rules.yml" }}
{{ base $path }}: |
  {{- $.Files.Get $path | nindent 2 }}
{{- end }}
{{- end }}

{{- define "springtide.monitoring.alertmanager" -}}
alertmanager.yml: |
  {{- tpl (.Files.Get "files/alertmanager.yml") . | nindent 2 }}
{{- end }}

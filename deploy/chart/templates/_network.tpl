{{/* What a part may call. (dict "root" $ "part" "idler" "calls" dict "there" list "api" list "callers" list) */}}
{{- define "springtide.egress" -}}
{{- $v := .root.Values.networkPolicies }}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- $of := . }}
{{- range $called, $how := .calls }}
{{- $ports := list }}
{{- if has $of.part $how.from }}{{ $ports = append $ports $how.port }}{{ end }}
{{- if and (eq $called "gateway") (has $of.part $of.callers) }}{{ $ports = append $ports 8080 }}{{ end }}
{{- if and (eq $called "nats") (eq $of.part "queue-worker") }}{{ $ports = append $ports 8222 }}{{ end }}
{{- if and $ports (has $called $of.there) }}
- ports:
    {{- range $ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  to:
    - podSelector:
        matchLabels:
          {{- include "springtide.selector" (dict "root" $of.root "part" $called) | nindent 10 }}
{{- end }}
{{- end }}
{{- if has .part (list "gateway" "provider" "prometheus") }}
# Functions, in whichever namespace they are: calls, the question whether they are ready, their metrics.
- to:
    - namespaceSelector: {}
      podSelector:
        matchExpressions:
          - {key: faas_function, operator: Exists}
{{- end }}
{{- if and (eq .part "gateway") $v.gatewayTo }}
- to:
    {{- toYaml $v.gatewayTo | nindent 4 }}
{{- end }}
{{- if eq .part "nats" }}
# The other servers.
- ports: [{port: 6222, protocol: TCP}]
  to:
    - podSelector:
        matchLabels:
          {{- include "springtide.selector" . | nindent 10 }}
{{- end }}
{{- if eq .part "queue-worker" }}
# Whoever is called back.
- to:
    {{- if $v.callbacksTo }}
    {{- toYaml $v.callbacksTo | nindent 4 }}
    {{- else }}
    - namespaceSelector: {}
    - ipBlock: {cidr: 0.0.0.0/0}
    - ipBlock: {cidr: "::/0"}
    {{- end }}
{{- end }}
{{- if eq .part "connector" }}
# The systems whose events they take.
- to:
    {{- if $v.connectorsTo }}
    {{- toYaml $v.connectorsTo | nindent 4 }}
    {{- else }}
    - namespaceSelector: {}
    - ipBlock: {cidr: 0.0.0.0/0}
    - ipBlock: {cidr: "::/0"}
    {{- end }}
{{- end }}
{{- if has .part .api }}
# The API server.
- ports:
    {{- range $v.apiServerPorts }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  to:
    {{- range $v.apiServerCidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
{{- end }}
{{- $outside := list }}
{{- if and (not .root.Values.prometheus.create) .root.Values.prometheus.url (has .part (list "gateway" "alert-receiver" "scaler" "idler" "console")) }}
{{- $outside = append $outside .root.Values.prometheus.url }}
{{- end }}
{{- if and (not .root.Values.alertmanager.create) .root.Values.alertmanager.url (has .part (list "prometheus" "alert-receiver" "console")) }}
{{- $outside = append $outside .root.Values.alertmanager.url }}
{{- end }}
{{- if and (not .root.Values.nats.create) (has .part (list "gateway" "queue-worker" "cron")) }}
{{- with include "springtide.natsUrl" .root }}{{ $outside = append $outside . }}{{ end }}
{{- end }}
{{- range $outside }}
# {{ . }}, wherever that is. Behind a Service the port may be another one: all are open.
- to:
    - namespaceSelector: {}
    - ipBlock: {cidr: 0.0.0.0/0}
    - ipBlock: {cidr: "::/0"}
{{- end }}
{{- if and (eq .part "alertmanager") .root.Values.alertmanager.operatorsReceiver }}
# Whoever tells people.
- to:
    - ipBlock: {cidr: 0.0.0.0/0}
    - ipBlock: {cidr: "::/0"}
{{- end }}
{{- end }}

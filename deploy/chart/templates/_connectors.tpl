{{/* The file that a connector is given. A source's name is part of what its system and the queue know it by: two
     connectors must not have one in common unless somebody says so. */}}
{{- define "springtide.connectorFile" -}}
{{- $v := . }}
{{- $sources := list }}
{{- range .config.sources }}
{{- if and (eq .kind "mqtt") (gt (int (dig "replicas" 1 $v)) 1) }}
{{- fail (printf "connectors: %s: copies cannot share the client_id that mqtt needs; leave replicas at 1, and list it once more with another name and the same group" $v.name) }}
{{- end }}
{{- $sources = append $sources (merge (deepCopy .) (dict "name" (printf "%s-%s" $v.name .kind))) }}
{{- end }}
{{- toYaml (merge (dict "sources" $sources) .config) }}
{{- end }}

{{- define "springtide.connectorResources" -}}
{{- toYaml (.resources | default (dict "requests" (dict "cpu" "50m" "memory" "128Mi") "limits" (dict "memory" "512Mi"))) }}
{{- end }}

{{/* The NATS server's configuration. What begins with $ is of the pod's environment. */}}
{{- define "springtide.natsConfiguration" -}}
{{- $v := .Values.nats }}
{{- $host := contains ":" .Values.listenAddress | ternary (printf "[%s]" .Values.listenAddress) .Values.listenAddress }}
{{- $mebibytes := dict "Mi" 1 "Gi" 1024 "Ti" 1048576 }}
{{- $size := $v.persistence.size }}
{{- $unit := substr (int (sub (len $size) 2)) (len $size) $size }}
{{- $usable := div (mul (int (trimSuffix $unit $size)) (get $mebibytes $unit) 9) 10 }}
server_name: $POD_NAME
listen: "{{ $host }}:4222"
http: "{{ $host }}:8222"
# A call and its headers travel in one message.
max_payload: 8MB
jetstream {
  store_dir: /data
  # In quotes, or 2m would be two million seconds.
  sync_interval: {{ $v.syncInterval | quote }}
  # For what is a view only, such as the calls that run now.
  max_memory_store: 256MB
  # The rest of the volume is for what it writes besides. By itself it would take three quarters of what is free as it starts.
  max_file_store: {{ $usable }}MB
}
authorization {
  user: $NATS_USER
  password: $NATS_PASSWORD
  timeout: 10
}
{{- if gt (int $v.replicas) 1 }}
cluster {
  name: springtide
  listen: "{{ $host }}:6222"
  # Clients know the Service, which leads to those that are ready.
  no_advertise: true
  authorization {
    user: $NATS_USER
    password: $NATS_PASSWORD
    timeout: 10
  }
  routes: $NATS_ROUTES
}
{{- end }}
{{- end }}

{{/* Named pieces. Those of a part take (dict "root" $ "part" "gateway"). */}}

{{- define "springtide.selector" -}}
app: {{ .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .connector }}
connector: {{ . }}
{{- end }}
{{- end }}

{{- define "springtide.labels" -}}
{{ include "springtide.selector" . }}
app.kubernetes.io/name: springtide
app.kubernetes.io/part-of: springtide
app.kubernetes.io/component: {{ .part }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "springtide.metadata" -}}
name: {{ .name | default .part }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "springtide.labels" . | nindent 2 }}
{{- end }}

{{- define "springtide.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "springtide.prometheusUrl" -}}
{{- if .Values.prometheus.create }}http://prometheus.{{ .Release.Namespace }}:9090{{ else }}{{ .Values.prometheus.url }}{{ end -}}
{{- end }}

{{- define "springtide.alertmanagerUrl" -}}
{{- if .Values.alertmanager.create }}http://alertmanager.{{ .Release.Namespace }}:9093{{ else }}{{ .Values.alertmanager.url }}{{ end -}}
{{- end }}

{{/* Empty: there are no asynchronous calls. */}}
{{- define "springtide.natsUrl" -}}
{{- if .Values.async }}
{{- if .Values.nats.create }}nats://nats.{{ .Release.Namespace }}:4222{{ else }}{{ .Values.nats.url }}{{ end -}}
{{- end }}
{{- end }}

{{/* The Secret with the login; empty: none is needed. */}}
{{- define "springtide.natsSecret" -}}
{{- if include "springtide.natsUrl" . -}}
{{ .Values.nats.credentialsSecret | default (ternary "nats-auth" "" .Values.nats.create) }}
{{- end }}
{{- end }}

{{/* Whether that Secret is ours to make. */}}
{{- define "springtide.makesNatsSecret" -}}
{{- if and .Values.async .Values.nats.create (not .Values.nats.credentialsSecret) }}true{{ end -}}
{{- end }}

{{/* The Secrets that a Job makes, as a JSON list. */}}
{{- define "springtide.madeByJob" -}}
{{- $made := list }}
{{- if eq .Values.generateBasicAuthBy "job" }}
{{- if and .Values.basic_auth .Values.generateBasicAuth }}{{ $made = append $made "basic-auth" }}{{ end }}
{{- if include "springtide.makesNatsSecret" . }}{{ $made = append $made "nats-auth" }}{{ end }}
{{- end }}
{{- toJson $made }}
{{- end }}

{{/* How the broker is reached. */}}
{{- define "springtide.broker" -}}
nats_url: {{ include "springtide.natsUrl" . | quote }}
{{- with include "springtide.natsSecret" . }}
nats_credentials_path: /var/nats{{ with $.Values.nats.credentialsKey }}/{{ . }}{{ end }}
{{- end }}
{{- with .Values.nats.caSecret }}
nats_ca_path: /var/nats-ca/ca.crt
{{- end }}
queue_replicas: {{ .Values.nats.replicas }}
{{- end }}

{{/* What gateway and queue worker are told of the broker, and of where callbacks may go. */}}
{{- define "springtide.queueing" -}}
{{- $own := .Release.Namespace }}
{{- $parts := list "gateways" "provider" "alert-receiver" "scaler" "idler" "console" "queue-worker" "cron" "prometheus" "alertmanager" "nats" "nats-peers" }}
{{- range .Values.connectors }}{{ $parts = append $parts (printf "connector-%s" .name) }}{{ end }}
{{- $denied := list "kubernetes" "kubernetes.default" "kubernetes.default.*" }}
{{- range $parts }}
{{- $denied = concat $denied (list . (printf "%s.%s" . $own) (printf "%s.%s.*" . $own)) }}
{{- end }}
{{- /* Of a pod by its own name, too, which the headless Services give it. */}}
{{- $denied = append $denied (printf "*.nats-peers.%s*" $own) }}
{{ include "springtide.broker" . }}
callback_local: false
callback_gateway: {{ printf "gateway.%s,gateway.%s.svc,gateway.%s.svc.cluster.local" $own $own $own }}
callback_deny: {{ concat $denied .Values.callbacks.deny | join "," | quote }}
{{- with .Values.callbacks.allow }}
callback_allow: {{ join "," . | quote }}
{{- end }}
{{- end }}

{{/* Where the parts that are told so find the login. */}}
{{- define "springtide.queueingMounts" -}}
{{- if include "springtide.natsSecret" . }}
- {name: nats-auth, mountPath: /var/nats, readOnly: true}
{{- end }}
{{- if and (include "springtide.natsUrl" .) .Values.nats.caSecret }}
- {name: nats-ca, mountPath: /var/nats-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "springtide.queueingVolumes" -}}
{{- with include "springtide.natsSecret" . }}
- name: nats-auth
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- if and (include "springtide.natsUrl" .) .Values.nats.caSecret }}
- name: nats-ca
  secret:
    secretName: {{ .Values.nats.caSecret }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* A Secret with a password that is made once and stays. (dict "root" $ "name" "basic-auth" "prefix" "basic-auth" "user" "admin") */}}
{{- define "springtide.madeSecret" -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .name }}
{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" ($there | default dict) }}
{{- if or (not $there) (eq $owner .root.Release.Name) }}
apiVersion: v1
kind: Secret
metadata:
  {{- include "springtide.metadata" (dict "root" .root "part" "credentials" "name" .name) | nindent 2 }}
  annotations:
    helm.sh/resource-policy: keep
type: Opaque
data:
  {{- if $there }}
  {{- toYaml $there.data | nindent 2 }}
  {{- else }}
  {{ .prefix }}-user: {{ .user | b64enc }}
  {{ .prefix }}-password: {{ randAlphaNum 32 | b64enc }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "springtide.profilesNamespace" -}}
{{ .Values.provider.profilesNamespace | default .Release.Namespace }}
{{- end }}

{{/* Where functions are looked for by Prometheus; none named means everywhere. */}}
{{- define "springtide.functionNamespaces" -}}
{{ if .Values.clusterRole }}[]{{ else }}{{ list .Values.functionNamespace | toJson }}{{ end }}
{{- end }}

{{/* Annotations of a part's pods. (dict "root" $ "port" 8082 "checksum" "...") */}}
{{- define "springtide.podAnnotations" -}}
{{- $annotations := dict }}
{{- if and .port .root.Values.scrapeAnnotations.create }}
{{- $_ := set $annotations "prometheus.io/scrape" "true" }}
{{- $_ := set $annotations "prometheus.io/port" (toString .port) }}
{{- end }}
{{- with .checksum }}{{ $_ := set $annotations "checksum/configuration" . }}{{ end }}
{{- $annotations = merge (deepCopy .root.Values.podAnnotations) $annotations }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What all pods have in common. (dict "root" $ "part" "gateway" "uid" 10001 "token" false "grace" 30 "spread" true) */}}
{{- define "springtide.pod" -}}
serviceAccountName: {{ .part }}
automountServiceAccountToken: {{ .token }}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .grace }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .uid }}
  fsGroup: {{ .uid }}
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and .spread (not .root.Values.affinity) }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "springtide.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "springtide.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Environment variables from a dictionary, in the order of their names. Helm reads numbers as float64, of which
     toString makes 6.7108864e+07. */}}
{{- define "springtide.env" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ kindIs "float64" $value | ternary (toJson $value) (toString $value) | quote }}}
{{- end }}
{{- end }}

{{/* One container that runs a part.
     (dict "root" $ "command" "idler" "env" dict "settings" dict "ports" dict "probe" "http" "preStop" 3 "resources" dict
     "mounts" "..." "file" "..." "moreEnv" list where it has more than all) */}}
{{- define "springtide.container" -}}
- name: {{ .command }}
  image: {{ include "springtide.image" .root | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: [{{ .command }}{{ with .file }}, {{ . }}{{ end }}]
  securityContext:
    {{- include "springtide.containerSecurity" . | nindent 4 }}
  {{- $credentials := dict "basic_auth" .root.Values.basic_auth "secret_mount_path" "/var/secrets" }}
  env:
    {{- include "springtide.env" (merge (deepCopy .settings) .env $credentials) | nindent 4 }}
    {{- with .moreEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    {{- range $name, $port := .ports }}
    - {name: {{ $name }}, containerPort: {{ $port }}, protocol: TCP}
    {{- end }}
  {{- toYaml .probes | nindent 2 }}
  {{- if .preStop }}
  lifecycle:
    preStop:
      exec:
        command: [sleep, {{ .preStop | toString | quote }}]
  {{- end }}
  {{- with .resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    {{- if .root.Values.basic_auth }}
    - {name: basic-auth, mountPath: /var/secrets, readOnly: true}
    {{- end }}
    {{- with .mounts }}
    {{- trim . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "springtide.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if .Values.basic_auth }}
- name: basic-auth
  secret:
    secretName: basic-auth
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* Leadership among the copies of a part. */}}
{{- define "springtide.lease" -}}
leader_election: "true"
lease_name: springtide-{{ .part }}
lease_namespace: {{ .root.Release.Namespace }}
{{- end }}

{{- define "springtide.disruptionBudget" -}}
{{- if .root.Values.podDisruptionBudgets.create }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "springtide.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "springtide.selector" . | nindent 6 }}
{{- end }}
{{- end }}

{{- define "springtide.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "springtide.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end }}

{{/* (dict "root" $ "part" "gateway" "ports" (dict "http" 8080)); "headless" for who asks each copy by itself. */}}
{{- define "springtide.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "springtide.metadata" . | nindent 2 }}
spec:
  {{- if .headless }}
  clusterIP: None
  {{- else }}
  type: ClusterIP
  {{- end }}
  selector:
    {{- include "springtide.selector" . | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}, protocol: TCP}
    {{- end }}
{{- end }}

{{/* A role in one namespace, bound to a part's account. (dict "root" $ "part" "idler" "in" "openfaas" "rules" "..." "name" "") */}}
{{- define "springtide.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: springtide-{{ .name | default .part }}
  namespace: {{ .in }}
  labels:
    {{- include "springtide.labels" . | nindent 4 }}
rules:
  {{- .rules | trim | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: springtide-{{ .name | default .part }}
  namespace: {{ .in }}
  labels:
    {{- include "springtide.labels" . | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: springtide-{{ .name | default .part }}}
subjects:
  - {kind: ServiceAccount, name: {{ .part }}, namespace: {{ .root.Release.Namespace }}}
{{- end }}

{{/* The same in all namespaces. */}}
{{- define "springtide.clusterRole" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: springtide-{{ .root.Release.Namespace }}-{{ .part }}
  labels:
    {{- include "springtide.labels" . | nindent 4 }}
rules:
  {{- .rules | trim | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: springtide-{{ .root.Release.Namespace }}-{{ .part }}
  labels:
    {{- include "springtide.labels" . | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: springtide-{{ .root.Release.Namespace }}-{{ .part }}}
subjects:
  - {kind: ServiceAccount, name: {{ .part }}, namespace: {{ .root.Release.Namespace }}}
{{- end }}

{{/* Named pieces. Those of a part take (dict "root" $ "part" "gateway"). */}}

{{- define "springtide.selector" -}}
app: {{ .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
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

{{/* Environment variables from a dictionary, in the order of their names. */}}
{{- define "springtide.env" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ toString $value | quote }}}
{{- end }}
{{- end }}

{{/* One container that runs a part.
     (dict "root" $ "command" "idler" "env" dict "settings" dict "ports" dict "probe" "http" "preStop" 3 "resources" dict) */}}
{{- define "springtide.container" -}}
- name: {{ .command }}
  image: {{ include "springtide.image" .root | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: [{{ .command }}]
  securityContext:
    {{- include "springtide.containerSecurity" . | nindent 4 }}
  {{- $credentials := dict "basic_auth" .root.Values.basic_auth "secret_mount_path" "/var/secrets" }}
  env:
    {{- include "springtide.env" (merge (deepCopy .settings) .env $credentials) | nindent 4 }}
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

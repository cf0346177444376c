{{/* Written by `python -m deploy` from the tables of permissions in code; do not edit. */}}

{{- define "springtide.permissions.provider.own" -}}
{{- if .Values.operator.create }}
# the first copy of all makes the lease
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [create]
{{- end }}
{{- if .Values.operator.create }}
# take, renew and give back the lease; see who holds it
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [get, list, watch, update]
  resourceNames: [springtide-operator]
{{- end }}
{{- end }}


{{- define "springtide.permissions.provider.functions" -}}
# know the functions without asking each time
- apiGroups: ["apps"]
  resources: [deployments]
  verbs: [list, watch]
# deploy, update and remove functions; server-side apply creates by a patch; learned wakes are noted
- apiGroups: ["apps"]
  resources: [deployments]
  verbs: [get, create, patch, delete]
# write replicas by compare-and-set
- apiGroups: ["apps"]
  resources: [deployments/scale]
  verbs: [update]
{{- if .Values.operator.create }}
# the version to compare
- apiGroups: ["apps"]
  resources: [deployments/scale]
  verbs: [get]
{{- end }}
# each function's Service comes and goes
- apiGroups: [""]
  resources: [services]
  verbs: [get, create, patch, delete]
{{- if eq .Values.provider.functionAddresses "service" }}
# cluster addresses to call
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
{{- end }}
{{- if .Values.operator.create }}
# see Services that were changed
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
{{- end }}
# which pods take calls
- apiGroups: ["discovery.k8s.io"]
  resources: [endpointslices]
  verbs: [list, watch]
# addresses of starting pods, logs of each, why one fails
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# the deletion cost: which pods go when a function shrinks
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
# logs of functions
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# processor and memory a function uses, where measured
- apiGroups: ["metrics.k8s.io"]
  resources: [pods]
  verbs: [list]
# secrets of functions: listed by name, never watched; webhooks are checked with those that they name
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, create, patch, delete]
# the autoscaler of a function that scales by processor use
- apiGroups: ["autoscaling"]
  resources: [horizontalpodautoscalers]
  verbs: [get, create, patch, delete]
{{- if .Values.operator.create }}
# see autoscalers that were changed
- apiGroups: ["autoscaling"]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch]
{{- end }}
# why the kubelet restarted a container, once a restart
- apiGroups: [""]
  resources: [events]
  verbs: [list]
# tell each scaling decision where kubectl describe shows it
- apiGroups: ["events.k8s.io"]
  resources: [events]
  verbs: [create]
{{- if .Values.operator.create }}
# Function objects are what is wanted
- apiGroups: ["openfaas.com"]
  resources: [functions]
  verbs: [list, watch]
{{- end }}
{{- if .Values.operator.create }}
# deployments through the REST API write Function objects
- apiGroups: ["openfaas.com"]
  resources: [functions]
  verbs: [get, create, update, delete]
{{- end }}
{{- if .Values.operator.create }}
# spec.replicas follows the Deployment, for kubectl scale and autoscalers
- apiGroups: ["openfaas.com"]
  resources: [functions]
  verbs: [patch]
{{- end }}
{{- if .Values.operator.create }}
# tell each how it is
- apiGroups: ["openfaas.com"]
  resources: [functions/status]
  verbs: [patch]
{{- end }}
{{- end }}


{{- define "springtide.permissions.provider.profiles" -}}
# profiles that functions name
- apiGroups: ["openfaas.com"]
  resources: [profiles]
  verbs: [get]
{{- end }}


{{- define "springtide.permissions.provider.cluster" -}}
{{- if .Values.clusterRole }}
# which namespaces are marked for functions
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end }}
{{- if .Values.clusterRole }}
# the system API's namespaces
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, create, patch, delete]
{{- end }}
{{- end }}


{{- define "springtide.permissions.alert-receiver.own" -}}
# the first copy of all makes the lease
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [create]
# take, renew and give back the lease; see who holds it
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [get, list, watch, update]
  resourceNames: [springtide-alert-receiver]
{{- end }}


{{- define "springtide.permissions.scaler.own" -}}
# the first copy of all makes the lease
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [create]
# take, renew and give back the lease; see who holds it
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [get, list, watch, update]
  resourceNames: [springtide-scaler]
{{- end }}


{{- define "springtide.permissions.cron.own" -}}
# the first copy of all makes the lease
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [create]
# take, renew and give back the lease; see who holds it
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [get, list, watch, update]
  resourceNames: [springtide-cron]
{{- end }}


{{- define "springtide.permissions.idler.own" -}}
# the first copy of all makes the lease
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [create]
# take, renew and give back the lease; see who holds it
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [get, list, watch, update]
  resourceNames: [springtide-idler]
{{- end }}


{{- define "springtide.permissions.prometheus.own" -}}
# find what is to be scraped
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- end }}


{{- define "springtide.permissions.prometheus.functions" -}}
# find what is to be scraped
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- end }}


{{- define "springtide.permissions.credentials.own" -}}
# make basic-auth and nats-auth, if there are none
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
{{- end }}

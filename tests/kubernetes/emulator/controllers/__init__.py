"""What a control plane does beside serving: turns Deployments into ReplicaSets into Pods, Services into EndpointSlices,
collects garbage, empties namespaces, and scales by HorizontalPodAutoscalers.

Each controller is a function of one key that brings the store closer to what is wanted; ``worker`` runs them.
"""

"""Grafana dashboards, built from the metric catalogue with Grafana's own SDK; the committed JSON is what users load.

queries, selection, panels, colours, annotations ──► overview, function, autoscaling, cold_starts, health
                                                               │
                                               boards ──► generated/*.json, loaded by provisioning/
"""

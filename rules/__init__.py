"""Alert rules, Prometheus and Alertmanager configuration, generated from one place and checked with their own tools."""

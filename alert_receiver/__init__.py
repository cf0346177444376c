"""Alertmanager's webhook to ``scaler.core.steps`` to at most one write per function and delivery."""

"""Webhooks: which function takes them, what a sender must show, and how its proof is checked.

The gateway reads the proof from a delivery's head (``shown``). The provider has the secrets and checks it (``proof``):
their values never leave it.
"""

"""The one node: ``node`` starts and ends pods as a kubelet does, ``probes`` asks them, ``processes`` runs them."""

"""A Kubernetes API server as a program uses it: a few verbs over plain JSON, list+watch caches, Lease leadership.

Knows nothing of functions. Only ``session`` imports the ``kubernetes`` library (0.4 s, 46 MB), and only when a
connection is made, so importing this package costs nothing. Errors are those of ``runtime.errors`` and of ``faults``.
"""

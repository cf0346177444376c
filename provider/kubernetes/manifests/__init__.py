"""Functions as Kubernetes objects and back: pure values over plain JSON, no calls, no clock.

``deployment`` is the way in: from a desired function to its Deployment and Service; ``checks`` finds everything wrong
with one before. ``deployment_reader`` is the way back. ``hpa``, ``profiles``, ``secrets``, ``function_object`` and
``adoption`` are what their names say.

A Deployment never says ``spec.replicas``: whoever scales owns it, through the ``scale`` subresource. A manifest that
named it once and then no longer would have the API server reset it to 1. A new function starts with the 1 that
Kubernetes gives it, and is scaled to its minimum by whoever created it.
"""

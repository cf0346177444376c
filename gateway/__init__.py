"""The public HTTP surface: invocations (the data plane), cold starts, the system API, metrics.

Calls to ``/function/…`` never enter an ASGI framework; everything else does. Knows functions only through the endpoint
table that the provider pushes, and must not import a provider.
"""

"""The public HTTP surface: invocations (the data plane), the waiting room of cold callers, the system API, metrics.

Calls to ``/function/…`` never enter an ASGI framework; everything else does. Knows functions only through the endpoint
table that the provider pushes, and must not import a provider.
"""

"""The HTTP server inside a replica: takes a call and runs the function in one of several modes.

``config`` reads the function's environment, ``app`` counts calls and answers ``/_/…``, the modes answer calls,
``serve`` runs it all until told to drain. It knows nothing of the host or the provider: a socket, an environment and a
descriptor to say ``ready`` on is all it gets. It imports nothing of the rest of the suite: what it needs is in
``values`` and ``processes``.
"""

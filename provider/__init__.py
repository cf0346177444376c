"""Where functions run: one set of Protocols, several implementations, one REST API over any of them.

``ports`` is the Protocols and their values, ``memory`` and ``process`` implement them, ``api`` serves them. Must not
decide replica counts (``scaler.core`` does) and must not know who calls its API.
"""

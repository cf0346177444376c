"""The brain: pure policy (``core``), and where load is read from (``sources``).

Owns every replica count. Must not know which provider or gateway is on the other side.
"""

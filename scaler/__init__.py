"""The brain: pure policy (``core``), where load is read from (``sources``), and the clients both need.

Owns every replica count. Must not know which provider or gateway is on the other side.
"""

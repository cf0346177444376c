"""The rules that the published schemas do not hold: the server's validation, one module for each family of kinds.

Each check returns causes; an empty list is a valid object. ``kinds.causes`` is the way in.
"""

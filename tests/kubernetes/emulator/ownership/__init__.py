"""Who owns which field: server-side apply and the managers of ordinary writes.

``field_sets`` turns objects into sets of field paths and back from the wire form, ``merging`` merges an applied
configuration into an object by the schema's list types, ``managers`` keeps ``metadata.managedFields``.
"""

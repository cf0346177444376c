"""Asynchronous calls while every part is killed again and again: is a job lost, and is one run twice for no reason?

A whole ``suite``, as ``springtide up`` starts it. ``posters`` post, ``troubles`` kill, update and put to sleep; the
functions note each execution themselves, synced, and ``ledger`` judges what they noted. ``run`` puts it together.
"""

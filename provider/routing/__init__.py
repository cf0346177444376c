"""Functions as processes and as containers of one machine: one provider in front of the two, which know nothing of it.

A function is on one side; what all functions share, secrets and namespaces, is written to both. What each side keeps
is in its own state folder, so that a suite that starts with one of the two finds what is that one's.
"""

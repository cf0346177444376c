"""Process plumbing that knows nothing of functions: clock, settings, services, logging, the error table.

Nothing here imports another package of this project, and nothing here reads the environment by itself.
"""

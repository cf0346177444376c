"""Pure policy and its vocabulary. Every replica count of the suite is computed here.

Standard library only (and ``runtime.durations``, which is as pure); synchronous; no clock, no randomness, no logging,
no I/O, no environment: ``now`` is an argument, and a decision is a returned value with a named reason.
"""

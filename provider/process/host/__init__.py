"""The host: a small single-threaded process that forks replicas from warmed imports and looks after them.

It outlives a provider that crashes, so that functions keep answering until the next provider takes over; it ends, with
every replica, when none comes. It must not decide anything: it carries out the commands of ``host_protocol``
and reports what happens.
No event loop and no threads here, so that a fork is safe.
"""

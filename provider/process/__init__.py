"""Functions as real operating-system processes of this machine.

    provider ── host protocol ──► host ── fork ──► replica: watchdog ──► the function
    (desired state)               (processes, pipes)        (HTTP)

``provider`` keeps what is desired on disk and drives ``deployment``s towards it; ``host`` is a process of its own that
forks replicas and outlives a provider's crash; the top-level ``watchdog`` is the HTTP server inside a replica. Linux is
where all of it works; elsewhere replicas run without the kernel's safety nets. Replica counts are never decided here.
"""

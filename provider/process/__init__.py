"""Functions as real operating-system processes of this machine.

    provider ── wire ──► host ── fork ──► replica: watchdog ──► the function
    (wishes, decisions)  (processes, pipes)        (HTTP)

``provider`` keeps the wishes on disk and drives ``deployment``s towards them; ``host`` is a process of its own that
forks replicas and outlives a provider's crash; ``watchdog`` is the HTTP server inside a replica. Linux is where all of
it works; elsewhere replicas run without the kernel's safety nets. Replica counts are never decided here.
"""

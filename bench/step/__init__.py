"""50 callers at once, and few short calls: how the control loop answers, and beside it the alert path.

Real processes, ``springtide up`` at its defaults. Both functions are alike but for who owns their replicas: a replica
takes one call at a time.
"""

"""When functions are called by the clock: what provider, idler, triggers, command line and console know of it.

``expression`` reads one schedule and tells its next instant, ``fields`` its grammar, ``calendar`` what the clocks of a
zone make of it, ``annotations`` the schedules of a function. All of it is pure: instants are arguments.
"""

"""Calls by the clock: every tick of a schedule becomes one call, whoever ends meanwhile.

``scheduled_functions`` knows the schedules, ``owed`` which ticks are due (pure), ``term`` sends them while this copy
leads, ``kept`` and the stores say up to when that was done, ``gateway`` speaks to the gateway, ``outcomes`` asks it
what became of ticks, ``api`` tells people.
"""

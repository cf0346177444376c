"""What a call costs: this gateway beside nginx in the same run, cold starts, and callers held.

Figures of one machine drift between runs; the ratios within a run hold. So everything is measured in turns, nginx and
gateway one after the other, and processor time is taken from the proxy's own process.
"""

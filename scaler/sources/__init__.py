"""Where measurements are read from: Prometheus, or the gateways themselves.

Every source answers for each function asked about, with a Sample that carries the instant it was really measured, or
with NoData and the reason. A source never guesses and never turns a failure into a zero.
"""

"""Events that call functions: what is known of one, and what a function is sent of it. Pure.

Whoever calls functions for events, a connector or the gateway's webhooks, says it in the same headers.
"""

"""What becomes of calls that are to be answered at once and run later.

``requested`` reads what was asked for, ``acceptance`` stores it, ``async_call`` takes it from its client.
"""

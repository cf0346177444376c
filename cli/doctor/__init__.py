"""``springtide doctor``: what is wrong, or will be, and what to do about it.

``findings`` says what a check is and runs them; each area (``machine``, ``broker``) first gathers what its
checks go by, and they are small pure functions over that. Another check is one more function in its area's list.
"""

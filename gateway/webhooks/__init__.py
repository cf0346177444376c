"""``POST /webhook/NAME``: deliveries of other people's services, checked and passed on to the function.

``webhooks`` takes them from the dispatcher, ``incoming`` is one of them, ``event`` says what it is about, ``seen``
remembers those whose function was called at once.
"""

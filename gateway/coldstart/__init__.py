"""What happens to a call that finds no replica with room: it waits in a queue, and its function is woken if it sleeps.

``queue`` keeps who waits, in which order and until when; ``admission`` lets calls in and refuses them; ``wake`` asks
the provider for replicas, once however many wait; ``timing`` measures each call's wait and its parts.
"""

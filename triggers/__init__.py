"""What calls functions when something happens: events of other systems, and times.

Each event is consumed where it came from once it is kept in the queue, or once its function has answered.
"""

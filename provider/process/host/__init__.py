"""The host: a small process that has replicas forked by one fork server for each environment, and looks after them.

It outlives a provider that crashes, so that functions keep answering until the next provider takes over; it ends, with
every replica, when none comes. It must not decide anything: it carries out the commands of ``host_protocol``
and reports what happens.
It has nothing of a function's in it and needs little memory; servers and replicas are its children.
"""

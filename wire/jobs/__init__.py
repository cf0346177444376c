"""Asynchronous calls: what gateway, queue worker, command line and console say to each other about them.

``job`` has the values, ``job_id`` what an id tells, ``message`` how a job is written, ``names`` how streams and
subjects are called, ``ports`` what is asked of a broker. ``nats`` and ``memory`` are the brokers.
"""

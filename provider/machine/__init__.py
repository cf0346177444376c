"""What the providers of one machine have in common, whatever a replica is: records, secrets and logs in a state folder,
which replicas to start and to stop, when to try again, and what processes use of the machine.
"""

"""The part that runs asynchronous calls: takes jobs when there is room, calls, repeats, tells, gives up.

``retrying`` and ``fair_share`` decide and do nothing else; ``dispatch`` takes jobs, ``execution`` runs one.
"""

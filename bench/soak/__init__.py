"""Minutes of load on functions that sleep, wake, grow, shrink, are updated and are killed: is any call lost?

The parts are the real ones: a gateway and a provider as processes, functions as processes of that provider, the REST
API with credentials. ``run`` starts them; ``caller`` makes the load; ``deeds`` is what happens to the functions
meanwhile, ``troubles`` what happens to the parts; ``tally`` judges every answer and decides which failures nobody could
have prevented.
"""

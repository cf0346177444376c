"""When a silent function sleeps, learned from its own pauses; and when it is awake again before it is called.

``history`` is what is remembered of a function, a kilobyte at most (``encoding``); ``rule`` makes a plan of it for the
pause that just began; ``forecasts`` keeps the score of the plans' forecasts and bounds them; ``pressure`` says who
sleeps first where memory is short. Pure, as everything in ``scaler.core``. It only moves *when* the idle rule may take
a function to zero: what the idle rule holds for (in flight, minimum, unknown, ownership) it holds for all the same.
"""

"""The systems that events come from, one module each. ``kinds`` lists them; ``source`` says how one is written."""

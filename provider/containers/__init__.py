"""Functions as containers of this machine, over the Docker Engine API of Docker or Podman.

``engine/`` speaks to the engine; ``function_container`` says what a function's container is, as pure values, and
``container_labels`` how its record is kept on it. ``deployment`` drives one function's replicas towards what was asked
for, ``fleet`` all of them; what is written and kept is that of ``provider.machine``.
"""

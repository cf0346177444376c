"""The only place that wires everything: the command line, ``springtide up`` and the demo."""

"""Each deployable part as a process of its own: its settings as flags, and what it is wired to."""

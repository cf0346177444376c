"""Handlers of ours that stand in for well-known images. Each folder is a function's, not part of the provider."""

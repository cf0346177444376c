"""Sweeps for silent functions, by ``scaler.core.idle``, and takes them to zero. What it does not know, it holds."""

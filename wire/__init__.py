"""What the parts say to each other: the provider's API and its endpoint stream, decisions, metrics, leadership terms.

Both ends of each conversation use the same module here. Decides nothing: every replica count comes from
``scaler.core``.
"""

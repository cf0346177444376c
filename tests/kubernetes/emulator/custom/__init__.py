"""Custom resources: ``definitions`` checks a CustomResourceDefinition, ``structural`` is its schema at work."""

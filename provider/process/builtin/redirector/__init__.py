"""A function that redirects."""

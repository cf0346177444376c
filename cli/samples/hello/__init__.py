"""The sample function hello."""

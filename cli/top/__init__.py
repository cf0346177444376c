"""``springtide top``: looks at a gateway again and again, and shows its functions as a table."""

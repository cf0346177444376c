"""The three kinds of patch beside server-side apply: JSON patch, JSON merge patch, strategic merge patch."""

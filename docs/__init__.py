"""What people read, and what makes a site of it: ``make docs``, by mkdocs.yml at the top of the repository."""

"""The reference for readers, made from what the code declares: ``python -m reference`` writes ``docs/reference``.

One module for each page: it reads declarations, and says nothing of its own but headings and how to read a table. What
is missing from a page is missing from the code: there it is to be added. ``markdown`` is how a page is written.

Not part of the installed package.
"""

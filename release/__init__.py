"""``make release``: what a version is published as, built from a commit alone, tried out, and signed.

``preconditions`` says whether a version may be released. ``staging`` takes the commit out of Git and adds what is made
for it: the manual's pages (``manual``) and the shells' completions. ``distribution``, ``chart``, ``image`` and
``bill`` make the files, ``trial`` uses them as a stranger would, ``signing`` and ``notes`` are for whoever downloads
them. The same commit gives the same bytes: times are the commit's, and archives are written in order.
"""

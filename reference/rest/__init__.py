"""What the REST APIs take and answer: a row for each request, from which OpenAPI documents and pages are made.

``operation`` is what a row is made of, ``schemas`` are the JSON values that several rows share, and the rows are in a
module for each subject. ``documents`` makes two documents of them: the system API, as the gateway serves it with the
calls of functions, and the provider's. Tests hold the rows to the routes that there are, and every example to what a
running suite answers.
"""

"""Springtide: autoscaling and observability for OpenFaaS-compatible functions.

Each part's folder stands at the top of the repository; here are links to them, which give them their import names.
"""

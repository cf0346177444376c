"""Containers of a real Podman beside processes: wakes, memory, and is a call lost when parts die under load?"""

"""The console in the browser: what every function does, why it was scaled, and the forms to act.

A service of its own behind the gateway's ``/ui/``. It reads what anybody may read (the system API, the gateway's
metrics) once for all browsers, keeps a short history in memory, and pushes changes to pages by server-sent events. It
computes no replica counts and is on no call's path.
"""

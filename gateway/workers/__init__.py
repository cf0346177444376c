"""Several worker processes behind one public port, and the small master that keeps them running and adds them up.

Each worker is a whole ``gateway.service.Gateway`` on a listening socket of its own; the kernel deals connections out
among them. The master binds the sockets and keeps them open, so that what waits at a dead worker's socket waits for its
replacement. It must not touch a call, and imports nothing of the data plane: it stays small.
"""

"""The Docker Engine API, as far as functions need it, over the Unix socket of Docker or Podman.

httpx, not aiodocker: it is here already, and it speaks over Unix sockets; aiodocker would bring aiohttp for the dozen
requests of ``client``, whose deadlines and bounds we would still have to add. What a request costs is the engine's.
"""

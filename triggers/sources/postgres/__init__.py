"""Postgres: changes of rows by logical decoding, and NOTIFY.

``source`` has its settings and says which of the two it is. ``setup`` sees to publication and slot, ``slot_feed`` reads
the slot, ``pgoutput`` its messages, of which ``rows`` makes events.
"""

from springtide.triggers.sources.postgres.source import Settings as Settings
from springtide.triggers.sources.postgres.source import build as build

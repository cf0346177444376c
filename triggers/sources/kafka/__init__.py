"""Kafka: topics by a consumer group.

``source`` has its settings. ``member`` is the C client in a thread of its own, and what it brings; ``record`` says what
a record is as an event.
"""

from springtide.triggers.sources.kafka.source import Settings as Settings
from springtide.triggers.sources.kafka.source import build as build

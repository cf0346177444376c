"""The alert receiver as a service: the webhook on its own port, and the descents beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from alert_receiver.memory import Memory
from alert_receiver.settings import AlertReceiverSettings
from alert_receiver.sight import Sight
from alert_receiver.stepper import Past, Stepper
from alert_receiver.tenure import Tenure
from alert_receiver.webhook import Webhook, counted
from runtime.asgi_server import AsgiServer
from runtime.background import ServedLoop
from runtime.basic_auth import Credentials, RequireBasicAuth
from runtime.exposition import exposition
from scaler import leadership
from scaler.core.ports import ActivitySource, Clock, Leadership, Recorder, ScaleTarget
from scaler.core.vocabulary import Writer
from scaler.decision_log import Recorders
from scaler.instruments import DecisionCounter
from scaler.leadership import Always


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertReceiverDeps:
    """What it works with. ``registry`` is its own; without ``credentials`` anyone may deliver.

    With ``activity`` a step down is made only while load is measured; without it a resolved alert is taken at its word.
    With ``past`` a new leader goes on with descents of the one before.
    """

    target: ScaleTarget
    credentials: Credentials | None
    registry: CollectorRegistry
    recorder: Recorder
    clock: Clock
    activity: ActivitySource | None = None
    leadership: Leadership = field(default_factory=Always)
    past: Past | None = None


def build(settings: AlertReceiverSettings, deps: AlertReceiverDeps) -> ServedLoop:
    """The service, not yet started; ``port`` tells where it listens once it is.

    Raises BadInput when the state file is not usable.
    """
    tenure = Tenure(deps.leadership, deps.clock, settle_s=settings.settle_s)
    stepper = Stepper(
        settings,
        target=deps.target,
        recorder=Recorders([DecisionCounter(deps.registry, Writer.ALERT), deps.recorder]),
        clock=deps.clock,
        memory=Memory(settings.state_file),
        tenure=tenure,
        past=deps.past,
        sight=Sight(deps.activity, settle_s=settings.settle_s) if deps.activity is not None else None,
    )
    webhook = Webhook(stepper.deliver, default_namespace=settings.default_namespace, standby=tenure.standby)
    leadership.show(deps.leadership, deps.registry)
    guarded = counted(RequireBasicAuth(webhook, credentials=deps.credentials), deps.registry)
    app = exposition(deps.registry, guarded, obstacle=tenure.standby)
    server = AsgiServer(app, name="alert-receiver", host=settings.host, port=settings.port)
    return ServedLoop(server, stepper.run)

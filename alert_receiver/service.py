"""The alert receiver as a service: the webhook on its own port, and the descents beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from springtide.alert_receiver.history_store import HistoryStore
from springtide.alert_receiver.leadership_term import LeadershipTerm
from springtide.alert_receiver.load_visibility import LoadVisibility
from springtide.alert_receiver.review import PastDecisions
from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.alert_receiver.stepper import Stepper
from springtide.alert_receiver.webhook import PATHS, Webhook, counted
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.basic_auth import Credentials, RequireBasicAuth
from springtide.runtime.exposition import exposition
from springtide.runtime.served_loop import ServedLoop
from springtide.scaler.core.ports import ActivitySource, AlertSource, Clock, Leadership, Recorder, ScaledFunctions
from springtide.scaler.core.vocabulary import Writer
from springtide.wire import instruments, leadership
from springtide.wire.decision_log import Recorders
from springtide.wire.instruments import DecisionCounter
from springtide.wire.leadership import Always


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertReceiverDeps:
    """What it works with. ``registry`` is its own; without ``credentials`` anyone may deliver.

    With ``activity`` a step down is made only while load is measured; without it a resolved alert is taken at its word.
    With ``past`` a new leader goes on with descents of the one before. With ``alerts`` a function comes down whose
    alert ended unheard.
    """

    target: ScaledFunctions
    credentials: Credentials | None
    registry: CollectorRegistry
    recorder: Recorder
    clock: Clock
    activity: ActivitySource | None = None
    leadership: Leadership = field(default_factory=Always)
    past: PastDecisions | None = None
    alerts: AlertSource | None = None


def build(settings: AlertReceiverSettings, deps: AlertReceiverDeps) -> ServedLoop:
    """The service, not yet started; ``port`` tells where it listens once it is.

    Raises BadInput when the state file is not usable.
    """
    term = LeadershipTerm(deps.leadership, deps.clock)
    stepper = Stepper(
        settings,
        target=deps.target,
        recorder=Recorders([DecisionCounter(deps.registry, Writer.ALERT), deps.recorder]),
        clock=deps.clock,
        histories=HistoryStore(settings.state_file, now=deps.clock.wall()),
        term=term,
        past=deps.past,
        alerts=deps.alerts,
        visibility=LoadVisibility(deps.activity) if deps.activity is not None else None,
    )
    webhook = Webhook(stepper.deliver, default_namespace=settings.default_namespace, standby=term.standby)
    leadership.show(deps.leadership, deps.registry)
    wrong = instruments.wrong_credentials(deps.registry)
    guarded = counted(RequireBasicAuth(webhook, credentials=deps.credentials, wrong=wrong), deps.registry)
    app = exposition(deps.registry, guarded, unready_reason=term.standby)
    server = AsgiServer(
        app,
        name="alert-receiver",
        host=settings.host,
        port=settings.port,
        leave_s=settings.leave_s,
        allowed_origins=settings.allowed_origins,
        # A page that shows credentials was told them: browsers keep those of the gateway's port for that port.
        open_to_pages=PATHS if deps.credentials is not None else (),
    )
    return ServedLoop(server, stepper.run)

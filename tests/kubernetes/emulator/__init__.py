"""A Kubernetes API server with controllers and one node, for tests; README.md says how to use it.

``server`` takes requests, ``operations`` does them on the ``store``. ``schemas``, ``defaults`` and ``validation`` are
its rules; ``patches`` and ``ownership`` the ways to change an object; ``custom`` the resources that definitions add.
``controllers`` and ``node`` act on the store as a control plane and a kubelet would. Nothing here knows the product,
apart from the node, which runs the product's watchdog as the function's container.
"""

from tests.kubernetes.emulator.access import AccessRules
from tests.kubernetes.emulator.cluster import Emulator
from tests.kubernetes.emulator.request_log import Access, RequestLog
from tests.kubernetes.emulator.settings import EmulatorSettings, Failure, Image
from tests.kubernetes.emulator.threaded import ThreadedEmulator, running_in_thread

__all__ = [
    "Access",
    "AccessRules",
    "Emulator",
    "EmulatorSettings",
    "Failure",
    "Image",
    "RequestLog",
    "ThreadedEmulator",
    "running_in_thread",
]

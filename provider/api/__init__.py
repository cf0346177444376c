"""The REST API over any provider: OpenFaaS's ``/system`` routes, our endpoint stream and decision log, and invocation.

One module per noun; ``middleware`` is what every request passes, ``request_values`` is what it says. A handler turns a
request into one call of a Protocol in ``provider.ports`` and the result into JSON; errors become statuses in one place
(``application``). Must not keep state of its own but for the decision log and the endpoints that the invoke proxy picks
from.
"""

from springtide.provider.api.service import ProviderApi, ProviderApiDeps, ProviderApiSettings, build
from springtide.runtime.build_version import Version

__all__ = ["ProviderApi", "ProviderApiDeps", "ProviderApiSettings", "Version", "build"]

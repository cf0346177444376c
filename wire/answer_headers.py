"""Headers by which the gateway, or the provider, says more of a function than OpenFaaS's answer has room for."""

from __future__ import annotations

WARNING = "X-Springtide-Warning"
"""Of a request that was done, and will not have all the effect that was meant; one for each warning."""

CALL_LIMIT = "X-Springtide-Call-Limit"
"""Of a function's description: which limit ends its calls, and how long that is."""

OWNER = "X-Springtide-Owner"
"""Of a scale that was written: who moves the function's replicas from there."""

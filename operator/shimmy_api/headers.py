"""HTTP headers between client, router and engine runner. Names are lower case, as HTTP/2 sends them.

Every header that starts with PREFIX is removed from requests that come from outside before anything reads it.
"""

from typing import Final

PREFIX: Final = "x-shimmy-"

REQUEST_ID: Final = "x-request-id"
"""Made by Envoy, always; joins the access log with the usage journal."""

# Router to runner
EXPECTED_TIMEOUT_MS: Final = "x-envoy-expected-rq-timeout-ms"
"""Milliseconds in which Envoy expects the answer (docs/root/configuration/http/http_filters/router_filter.rst)."""
TENANT: Final = "x-shimmy-tenant"
KEY_ID: Final = "x-shimmy-key-id"
MODEL: Final = "x-shimmy-model"
"""To the runner: metadata.name of the ShimmyModel asked for. In an answer: of the model that served it."""
ASKED: Final = "x-shimmy-asked"
"""metadata.name of the ShimmyModel that was asked for, where another one may stand in."""
ATTEMPT: Final = "x-envoy-attempt-count"
"""Which try of Envoy's this is, from 1 (docs/root/configuration/http/http_filters/router_filter.rst)."""
MOST_MOVES: Final = 3
"""How many tries a runner may end by sending the request to a pod that has become idle. Envoy has as many for it."""
PRIORITY: Final = "x-shimmy-priority"
"""Of the caller's tenant, an integer: higher comes first in the runner's queue."""
WEIGHT: Final = "x-shimmy-weight"
"""Of the caller's tenant, a natural number: its share of the engine's time beside tenants of equal priority."""
ENGINE_TOKEN: Final = "x-shimmy-engine-token"  # noqa: S105 - a header's name

# Runner to router: headers of a JSON answer, trailers of a stream
PROMPT_TOKENS: Final = "x-shimmy-prompt-tokens"
COMPLETION_TOKENS: Final = "x-shimmy-completion-tokens"

# Runner to client
REASON: Final = "x-shimmy-reason"
"""Why the model that MODEL names answered, where it is not the one that was asked for: `no_pod` of that one was ready,
or it was tried in vain, `retried`."""
POD: Final = "x-shimmy-pod"
"""Name of the pod that answered."""
WAIT: Final = "x-shimmy-wait"
"""Seconds, with three decimals, that the router held the request until a pod of the model was ready."""
QUEUE_SECONDS: Final = "x-shimmy-queue-seconds"
"""Seconds, with three decimals, that the request waited for its turn in the runner."""

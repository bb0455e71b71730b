"""What KEDA is built from; only `hack/bench wake` needs it."""

from typing import Final

from devkit.recipes import Recipe

_KEDA: Final = "github.com/kedacore/keda/v2"
_ADD_ON: Final = "github.com/kedacore/http-add-on"

OPERATOR: Final = Recipe("keda", f"{_KEDA}/cmd/operator", "keda-operator", module=_KEDA, minutes=10)
ADAPTER: Final = Recipe("keda", f"{_KEDA}/cmd/adapter", "keda-metrics-apiserver", module=_KEDA)
INTERCEPTOR: Final = Recipe("keda-http-add-on", f"{_ADD_ON}/interceptor", "keda-interceptor", module=_ADD_ON, minutes=3)
SCALER: Final = Recipe("keda-http-add-on", f"{_ADD_ON}/scaler", "keda-scaler", module=_ADD_ON)
ADD_ON_OPERATOR: Final = Recipe("keda-http-add-on", f"{_ADD_ON}/operator", "keda-http-operator", module=_ADD_ON)

PATHS: Final = {
    OPERATOR: "/keda",
    ADAPTER: "/keda-adapter",
    INTERCEPTOR: "/interceptor",
    SCALER: "/scaler",
    ADD_ON_OPERATOR: "/operator",
}
"""Where each program lies in its image."""
CONTAINERS: Final = {
    "keda-operator": OPERATOR,
    "keda-metrics-apiserver": ADAPTER,
    "interceptor": INTERCEPTOR,
    "scaler": SCALER,
    "operator": ADD_ON_OPERATOR,
}
"""The program of each container, by its name in KEDA's own manifests."""

"""Looks after the metrics server's certificate every few seconds."""

import asyncio
import logging
from typing import Final

from shimmy_operator.cluster.errors import ClusterError
from shimmy_operator.reconcile.certificate import CertificateKeeper

_LOG = logging.getLogger(__name__)
_SECONDS: Final = 15.0
"""Between two looks: how long a new APIService may be without an authority."""


async def keep_certificate(keeper: CertificateKeeper) -> None:
    """Look for ever."""
    while True:
        try:
            await keeper.look()
        except ClusterError as error:
            _LOG.warning(
                "the metrics server's certificate cannot be looked after, again in %.0f s: %s", _SECONDS, error
            )
        await asyncio.sleep(_SECONDS)

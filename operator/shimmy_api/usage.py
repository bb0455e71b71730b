"""The usage journal's records, as engine runners write them and the meter pulls them.

A meter pulls with GET /internal/journal?ack=SEQ&limit=N, which acknowledges every record up to and including SEQ
and answers with the oldest records after it. Sequence numbers start at 1 in each journal; a journal is named by its
`journal` id, which changes when a pod starts with an empty one.
"""

from typing import Literal

from pydantic import AwareDatetime, NonNegativeFloat, NonNegativeInt, PositiveInt

from shimmy_api.base import ApiModel

Outcome = Literal["completed", "cancelled", "failed"]


class UsageRecord(ApiModel):
    """What one request that reached the model used."""

    seq: PositiveInt
    """Position in this journal."""
    request_id: str
    """Envoy's x-request-id."""
    time: AwareDatetime
    """When the generation ended, UTC."""
    tenant: str
    key_id: str
    """Public part of the API key, empty where the request came with none."""
    namespace: str
    """Namespace of the ShimmyModel."""
    model: str
    """metadata.name of the ShimmyModel."""
    pod: str
    prompt_tokens: NonNegativeInt
    """Tokens that the model was fed."""
    completion_tokens: NonNegativeInt
    """Tokens that the model produced, including those that a client that left did not see."""
    outcome: Outcome
    queue_seconds: NonNegativeFloat
    seconds: NonNegativeFloat
    """From the start of the generation to its end."""


class JournalPage(ApiModel):
    """Answer to one pull."""

    journal: str
    """Id of this journal, a UUID."""
    records: tuple[UsageRecord, ...]
    """Oldest first."""
    remaining: NonNegativeInt
    """Records after the last one of this page."""

"""Puts what the runner's parts know at this moment into its metrics."""

from shimmy_engine.service import Service


def scrape(service: Service) -> bytes:
    """All metrics in Prometheus' text format."""
    parts, metrics = service.parts, service.parts.metrics
    served, supervisor = parts.slot.served, parts.slot.served.supervisor
    metrics.ready.set(not service.problem)
    metrics.restarts.set(supervisor.restarts)
    metrics.start_seconds.set(supervisor.start_seconds)
    metrics.memory.set(supervisor.memory)
    metrics.in_flight.set(parts.gate.in_flight)
    metrics.queued.set(parts.gate.queued)
    metrics.journal_records.set(parts.journal.unacknowledged)
    metrics.journal_dropped.set(parts.journal.dropped)
    release, device = served.plan.release, supervisor.device
    metrics.info.clear()
    metrics.info.labels(
        model=served.settings.name,
        version=release.version,
        line=release.quirks.line,
        build=release.quirks.build,
        device=device.name if device else "",
        device_kind=device.kind if device else "",
    ).set(1)
    return metrics.render()

"""Draws records as SVG: demand, ideal, replicas and ready pods over time. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from devkit.bench.scaling.record import Record, Sample

_WIDTH: Final = 900
_HEIGHT: Final = 150
_LEFT: Final = 60
_GAP: Final = 46
_LINES: Final = (("demand", "#999999"), ("ideal", "#4daf4a"), ("replicas", "#377eb8"), ("ready", "#e41a1c"))


def picture(records: Sequence[Record]) -> str:
    """One panel for each record, below one another."""
    height = len(records) * (_HEIGHT + _GAP) + _GAP
    size = f'width="{_LEFT + _WIDTH + 20}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, (name, colour) in enumerate(_LINES):
        parts.append(f'<text x="{_LEFT + place * 110}" y="18" fill="{colour}">&#9632; {name}</text>')
    for place, record in enumerate(records):
        parts += _panel(record, _GAP + place * (_HEIGHT + _GAP))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(record: Record, top: float) -> Iterable[str]:
    end = max((sample.at for sample in record.samples), default=1.0) or 1.0
    most = max((max(s.demand, s.replicas, s.ready) for s in record.samples), default=1.0) or 1.0

    def point(at: float, value: float) -> str:
        return f"{_LEFT + _WIDTH * at / end:.1f},{top + _HEIGHT * (1 - value / most):.1f}"

    yield f'<text x="4" y="{top + 12}" font-weight="bold">{escape(record.name)}</text>'
    yield f'<text x="{_LEFT - 8}" y="{top + 10}" text-anchor="end">{most:.0f}</text>'
    yield f'<text x="{_LEFT - 8}" y="{top + _HEIGHT}" text-anchor="end">0</text>'
    yield f'<text x="{_LEFT + _WIDTH}" y="{top + _HEIGHT + 14}" text-anchor="end">{end / 60:.0f} min</text>'
    yield f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#dddddd"/>'
    for name, colour in _LINES:
        steps = [
            step
            for one, following in zip(record.samples, record.samples[1:], strict=False)
            for step in (point(one.at, _value(record, one, name)), point(following.at, _value(record, one, name)))
        ]
        yield f'<polyline points="{" ".join(thinned(steps))}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def thinned(points: Sequence[str]) -> Iterator[str]:
    """Points "x,y" without those between two of the same height."""
    heights = [point.partition(",")[2] for point in points]
    for place, point in enumerate(points):
        if not heights[max(place - 1, 0)] == heights[place] == heights[min(place + 1, len(points) - 1)] or (
            place in (0, len(points) - 1)
        ):
            yield point


def _value(record: Record, sample: Sample, line: str) -> float:
    if line == "ideal":
        return record.ideal(sample.demand)
    return float(getattr(sample, line))

"""Lines over a common axis, as an SVG that reads on light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT, LEFT, TOP, GAP = 640, 150, 70, 30, 60  # px: of a panel's field, what is beside and above it, between two
COLOURS = ("#2f7ed8", "#d8732f")
GREY = "#808080"  # for lines and words


class Panel(NamedTuple):
    """A field of the drawing: its title, and its lines by name, a value for each point of the axis."""

    title: str
    lines: Mapping[str, Sequence[float]]


def draw(panels: Sequence[Panel], axis: Sequence[float], axis_title: str) -> str:
    """The drawing: the panels below one another, each from 0 to a round number."""
    height = len(panels) * (TOP + HEIGHT) + (len(panels) - 1) * (GAP - TOP) + 45
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 120}" height="{height}" '
        f'font-family="sans-serif" font-size="13" fill="{GREY}">'
    ]
    top = TOP
    for panel in panels:
        parts += _panel(panel, axis, top)
        top += HEIGHT + GAP
    parts += [f'<text x="{_x(value, axis):.0f}" y="{top - GAP + 18}" text-anchor="middle">{value:.2g}</text>' for value in axis]
    parts.append(f'<text x="{LEFT + WIDTH / 2:.0f}" y="{top - GAP + 38}" text-anchor="middle">{escape(axis_title)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, axis: Sequence[float], top: int) -> list[str]:
    most = round_up(max(value for values in panel.lines.values() for value in values))
    bottom = top + HEIGHT
    parts = [f'<text x="{LEFT}" y="{top - 10}" font-weight="bold">{escape(panel.title)}</text>']
    for share in (0, 0.5, 1):
        y = bottom - share * HEIGHT
        parts.append(f'<path d="M{LEFT} {y:.1f}H{LEFT + WIDTH}" stroke="{GREY}" stroke-opacity="0.35"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share * most:,.10g}</text>')
    for (name, values), colour in zip(panel.lines.items(), COLOURS, strict=False):
        points = [(_x(at, axis), bottom - value / most * HEIGHT) for at, value in zip(axis, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(f'<text x="{points[-1][0] + 10:.0f}" y="{points[-1][1] + 4:.0f}" fill="{colour}">{escape(name)}</text>')
    return parts


def _x(at: float, axis: Sequence[float]) -> float:
    return LEFT + at / axis[-1] * WIDTH


def round_up(value: float) -> float:
    """The next number of one digit (or 1.5) times a power of ten."""
    step = 1.0
    while step < value:
        step *= 10
    return next(step / 10 * digit for digit in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step / 10 * digit >= value)

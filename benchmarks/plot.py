"""Lines over a common axis, and bars, as an SVG that reads on light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT, LEFT, TOP, GAP = 640, 150, 70, 30, 60  # px: of a panel's field, what is beside and above it, between two
COLOURS = ("#2f7ed8", "#d8732f")
MOST_MARKS = 12  # points that are marked one by one
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
    marked = axis if len(axis) <= MOST_MARKS else [share / 5 * axis[-1] for share in range(6)]
    parts += [
        f'<text x="{_x(value, axis):.0f}" y="{top - GAP + 18}" text-anchor="middle">{value:.2g}</text>' for value in marked
    ]
    parts.append(f'<text x="{LEFT + WIDTH / 2:.0f}" y="{top - GAP + 38}" text-anchor="middle">{escape(axis_title)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def bars(title: str, values: Mapping[str, float], axis_title: str) -> str:
    """A bar for each, by its name, in this order; the number is above it."""
    width, height, bottom = LEFT + WIDTH + 20, TOP + HEIGHT + 45, TOP + HEIGHT
    most, place = round_up(max(values.values())), WIDTH / len(values)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="13" fill="{GREY}" role="img">',
        f"<title>{escape(title)}</title>",
        *_scale(title, most, TOP),
    ]
    for number, (name, value) in enumerate(values.items()):
        middle, top = LEFT + (number + 0.5) * place, bottom - value / most * HEIGHT
        parts.append(
            f'<rect x="{middle - 0.35 * place:.1f}" y="{top:.1f}" width="{0.7 * place:.1f}" height="{bottom - top:.1f}" '
            f'fill="{COLOURS[0]}"/>'
        )
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        parts.append(f'<text x="{middle:.0f}" y="{top - 3:.1f}" text-anchor="middle" font-size="11">{shown}</text>')
        parts.append(f'<text x="{middle:.0f}" y="{bottom + 16}" text-anchor="middle" font-size="11">{escape(name)}</text>')
    parts.append(f'<text x="{LEFT + WIDTH / 2:.0f}" y="{bottom + 36}" text-anchor="middle">{escape(axis_title)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, axis: Sequence[float], top: int) -> list[str]:
    most = round_up(max(value for values in panel.lines.values() for value in values))
    bottom = top + HEIGHT
    parts = _scale(panel.title, most, top)
    for (name, values), colour in zip(panel.lines.items(), COLOURS, strict=False):
        points = [(_x(at, axis), bottom - value / most * HEIGHT) for at, value in zip(axis, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(points) <= MOST_MARKS:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(f'<text x="{points[-1][0] + 10:.0f}" y="{points[-1][1] + 4:.0f}" fill="{colour}">{escape(name)}</text>')
    return parts


def _scale(title: str, most: float, top: int) -> list[str]:
    """A field's title, and its lines with their values."""
    parts = [f'<text x="{LEFT}" y="{top - 14}" font-weight="bold">{escape(title)}</text>']
    for share in (0, 0.5, 1):
        y = top + HEIGHT - share * HEIGHT
        parts.append(f'<path d="M{LEFT} {y:.1f}H{LEFT + WIDTH}" stroke="{GREY}" stroke-opacity="0.35"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share * most:,.10g}</text>')
    return parts


def _x(at: float, axis: Sequence[float]) -> float:
    return LEFT + at / axis[-1] * WIDTH


def round_up(value: float) -> float:
    """The next number of one digit (or 1.5) times a power of ten."""
    step = 1.0
    while step < value:
        step *= 10
    return next(step / 10 * digit for digit in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step / 10 * digit >= value)

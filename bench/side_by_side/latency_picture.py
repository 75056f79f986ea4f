"""Draws how long an XADD takes, by quantile, as an SVG that can be read on a light and on a dark page."""

import math

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 76, 184, 48, 56
INK = "#7d8590"  # as far from white as from black
COLOURS = ("#3b82f6", "#d97706")
QUANTILES = {"0": 0, "50 %": 0.5, "90 %": 0.9, "99 %": 0.99, "99.9 %": 0.999, "99.99 %": 0.9999}
LAST = 4  # nines


def nines(quantile):
    """How far right a quantile stands: each further nine is one step."""
    return -math.log10(1 - quantile)


def quantile_curve(buckets):
    """From counts by the most microseconds: (nines, microseconds), as far as there is more than one event behind a point."""
    events, slower = sum(buckets.values()), sum(buckets.values())
    points = []
    for most in sorted(buckets):
        points.append((math.log10(events / slower), most))
        slower -= buckets[most]
        if slower < 1:
            break
    return [(at, most) for at, most in points if at <= LAST]


def scale_of(curves):
    """From microseconds to height, with its 1-2-5 steps."""
    values = [most for curve in curves for _, most in curve]
    low, high = math.log10(min(values) / 1.3), math.log10(max(values) * 1.3)
    y = lambda value: HEIGHT - BOTTOM - (math.log10(value) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
    steps = [digit * 10.0**power for power in range(7) for digit in (1, 2, 5)]
    return y, [step for step in steps if low <= math.log10(step) <= high]


def x(at):
    return LEFT + at / LAST * (WIDTH - LEFT - RIGHT)


def duration(microseconds):
    return f"{microseconds:g} µs" if microseconds < 1000 else f"{microseconds / 1000:g} ms"


def text(at_x, at_y, words, anchor="middle", colour=INK, size=13):
    return f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{words}</text>'


def line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{INK}" stroke-opacity="0.35"/>'


def grid(y, steps):
    for step in steps:
        yield line(LEFT, y(step), x(LAST), y(step))
        yield text(LEFT - 8, y(step) + 4, duration(step), "end")
    for name, quantile in QUANTILES.items():
        yield line(x(nines(quantile)), TOP, x(nines(quantile)), HEIGHT - BOTTOM)
        yield text(x(nines(quantile)), HEIGHT - BOTTOM + 18, name)
    yield text((LEFT + x(LAST)) / 2, HEIGHT - 14, "share of XADDs that take at most so long")


def stairs(curve, y):
    """A quantile's time holds until the next one's begins."""
    points = [(x(curve[0][0]), y(curve[0][1]))]
    for at, most in curve[1:]:
        points += [(x(at), points[-1][1]), (x(at), y(most))]
    return " ".join(f"{px:.1f},{py:.1f}" for px, py in [*points, (x(LAST), points[-1][1])])


def drawn_curves(curves, y):
    names = list(curves)
    ends = [y(curves[name][-1][1]) for name in names]
    if len(ends) == 2 and abs(ends[0] - ends[1]) < 18:  # their names would stand on one another
        ends[ends.index(min(ends))] -= 9
        ends[ends.index(max(ends))] += 9
    for name, end, colour in zip(names, ends, COLOURS):
        yield f'<polyline points="{stairs(curves[name], y)}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        yield text(x(LAST) + 8, end + 4, name, "start", colour, 14)


def draw(buckets_by_name, title):
    curves = {name: quantile_curve(buckets) for name, buckets in buckets_by_name.items()}
    y, steps = scale_of(curves.values())
    parts = [text(LEFT, 24, title, "start", size=16), *grid(y, steps), *drawn_curves(curves, y)]
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
                      f"<title>{title}</title>", *parts, "</svg>"]) + "\n"

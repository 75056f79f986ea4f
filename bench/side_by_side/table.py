"""What is measured of a pair, the rows that are made of it, and the table that they are printed as."""

import statistics
from dataclasses import dataclass, field
from typing import Callable, Optional


@dataclass
class Sample:
    """What one side of a pair did. CPU is seconds an event."""

    rate: float = 0
    redis_cpu: float = 0
    sidecar_cpu: float = 0
    figures: dict = field(default_factory=dict)  # what else its rows show, by name


@dataclass
class Row:
    what: str
    against: str
    target: Optional[float]  # nothing: the row only tells
    values: Callable  # (ours, theirs) -> (our value, their value or None)
    unit: str  # "/s", "µs", "MiB", or nothing for a plain number
    at_most: bool = False
    pairs: list = field(default_factory=list)

    def add(self, ours: Sample, theirs: Optional[Sample]):
        self.pairs.append(self.values(ours, theirs))

    def cells(self):
        is_ratio = self.pairs[0][1] is not None
        show = (lambda number: f"{number:.2f}") if is_ratio else (lambda number: f"{number:.1f} {self.unit}".rstrip())
        results = [mine / other if is_ratio else mine for mine, other in self.pairs]
        median = statistics.median(results)
        mine = self.figure(statistics.median(pair[0] for pair in self.pairs))
        other = self.figure(statistics.median(pair[1] for pair in self.pairs)) if is_ratio else "—"
        return [self.what, self.against, mine, other, show(median), show(min(results)), show(max(results)),
                *self.verdict(median, show)]

    def verdict(self, median, show):
        if self.target is None:
            return ["—", ""]
        compared = median if self.unit else round(median, 1)  # plain numbers are compared as they are shown
        met = compared <= self.target if self.at_most else compared >= self.target
        return [f"{'≤' if self.at_most else '≥'} {show(self.target)}", "met" if met else "MISSED"]

    def figure(self, value):
        if self.unit == "µs":
            return f"{value * 1e6:.2f} µs"
        if self.unit == "/s":
            return f"{value:,.0f}/s".replace(",", " ")
        return f"{value:.1f} {self.unit}" if self.unit else f"{value:.2f}"


def rate_row(what, against, target):
    return Row(what, against, target, lambda ours, theirs: (ours.rate, theirs.rate), "/s")


def print_table(rows):
    head = ["what", "against", "Sprockets", "the other", "median", "min", "max", "target", ""]
    lines = [head] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")

"""Figures with limits, and the table of them."""

import json
from dataclasses import asdict, dataclass


@dataclass
class Figure:
    """Something that was measured or counted, and what it may be; without a limit it is only for the reader."""

    name: str
    value: float
    limit: float | None = None
    unit: str = ""
    # The limit is the least it may be, not the most.
    is_least: bool = False
    # What helps to find the reason if it is not met.
    note: str = ""

    @property
    def is_met(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    @property
    def row(self) -> tuple[str, str, str, str]:
        bound = "" if self.limit is None else f"{'>=' if self.is_least else '<='} {number(self.limit)}"
        verdict = "" if self.limit is None else "ok" if self.is_met else "NOT MET"
        return self.name, f"{number(self.value)} {self.unit}".strip(), bound, verdict


def number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def table(figures: list[Figure]) -> str:
    rows = [("figure", "value", "limit", ""), *(figure.row for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for row, figure in zip(rows, [None, *figures], strict=True):
        lines.append(f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip())
        if figure is not None and figure.note and not figure.is_met:
            lines += [f"    {line}" for line in figure.note.splitlines()]
    return "\n".join(lines)


def as_json(parts: dict[str, list[Figure]], seed: int) -> str:
    value = {part: [{**asdict(figure), "is_met": figure.is_met} for figure in figures] for part, figures in parts.items()}
    return json.dumps({"seed": seed, "figures": value}, indent=2)


def check(figures: list[Figure]) -> None:
    """For tests: fails with those that are not met."""
    missed = [figure for figure in figures if not figure.is_met]
    assert not missed, "\n" + table(missed)

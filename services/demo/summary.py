"""How the demo ends: one object of figures for machines, a table for people, and the verdict."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from services.demo.drive import Played


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one run; the names are those of the JSON object."""

    cases: int
    actions: int
    """Actions of agencies that were answered, refused ones included."""
    refused: int
    feed_entries: int
    fields_sealed: int
    fields_opened: int
    fields_withheld: int
    overdisclosed: int
    """Must be 0."""
    leaks: int
    """Must be 0."""
    accepted_per_s: float
    projected_per_s: float
    feed_p50_ms: float
    """From recorded at the hub to readable in the feed."""
    feed_p99_ms: float
    withdrawal_p99_ms: float
    """From a withdrawal recorded to cut off in every feed, its releases gone."""
    seconds: float


def as_json(summary: Summary) -> str:
    """Return the summary as one line."""
    return json.dumps(
        {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(summary).items()}
    )


def failures(summary: Summary, played: Played) -> list[str]:
    """Return what does not hold, a sentence each; empty when the run is good."""
    checks = (
        (summary.overdisclosed, "fields are shown that consent does not allow"),
        (summary.leaks, "planted values stand in files where none may be"),
        (played.unexpected, "actions got another answer than the rules give"),
    )
    found = [f"{count} {what}" for count, what in checks if count]
    found += [
        f"{u.kind} {u.case_id} step {u.place} {u.type}: {u.got}, not {u.expect}"
        for u in played.first_unexpected
    ]
    return found


def table(summary: Summary, played: Played, failed: Sequence[str]) -> Table:
    """Return the summary for people; `failed` is what `failures` found."""
    shown = Table(title="nrm-hub demo", show_header=False)
    shown.add_column(style="bold")
    shown.add_column(justify="right")
    for name, value in asdict(summary).items():
        text = f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
        shown.add_row(name.replace("_", " "), text)
    shown.add_section()
    for code, count in played.refused.most_common():
        shown.add_row(f"refused: {code}", f"{count:,}")
    shown.add_section()
    shown.add_row("checks", "; ".join(failed) or "all hold")
    return shown

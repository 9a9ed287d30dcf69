"""What an audit found, for people first: each check with its result, then what does not hold."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from domain.trail.checkpoint import Checkpoint

HOLDS, FINDINGS, UNREADABLE, AWAY = 0, 1, 2, 3
"""Exit codes: everything holds; something does not; bad usage or input; a part is away."""
MOST_FINDINGS = 100
"""Findings that are kept; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold."""

    check: str
    message: str
    index: int | None = None
    """Entry of the log, from 0; None if it is not about one."""


class Check(NamedTuple):
    """One thing that was checked and holds, and over how much."""

    check: str
    message: str


class Row(NamedTuple):
    """One entry of a case, as people read it."""

    recorded_ms: int
    entry: int
    """Place in the log, from 0."""
    kind: str
    event_type: str
    agency: str
    refused: str
    """Reason code; empty if it was accepted."""

    @property
    def line(self) -> str:
        """Say it in one line."""
        what = self.event_type.rpartition(".")[2] or self.kind.lower()
        refused = f", refused: {self.refused}" if self.refused else ""
        when = time_of(self.recorded_ms // 1000)
        return f"{when}  entry {self.entry}  {what} by {self.agency}{refused}"


@dataclass(slots=True)
class Report:
    """The outcome of one audit."""

    subject: str
    """What was audited: a log, a case, a bundle."""
    checkpoint: Checkpoint | None = None
    cosigned_s: Mapping[str, int] = field(default_factory=dict)
    """When each witness saw the checkpoint, in seconds since 1970."""
    rows: list[Row] = field(default_factory=list)
    """What was asked about: the entries of a case."""
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the reader must know to weigh the outcome."""
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    """Findings beyond `MOST_FINDINGS`."""
    as_of: str = "complete as of the times at which the witnesses saw this checkpoint:"
    """What the witnesses' times say of the subject."""

    def holds(self, check: str, message: str) -> None:
        """Note that a check holds."""
        self.checks.append(Check(check, message))

    def find(self, check: str, message: str, index: int | None = None) -> None:
        """Note what does not hold."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(check, message, index))
        else:
            self.more += 1

    @property
    def exit_code(self) -> int:
        """Say for a shell whether everything holds."""
        return FINDINGS if self.findings else HOLDS

    @property
    def complete_as_of_s(self) -> int | None:
        """The earliest of the witnesses' times, in seconds since 1970; None without a witness."""
        return min(self.cosigned_s.values(), default=None)

    def text(self) -> str:
        """Return the report for people."""
        lines = [f"Audit of {self.subject}"]
        if self.checkpoint is not None:
            origin, size, root = self.checkpoint
            lines += [
                f"  log      {origin}",
                f"  size     {size} entries",
                f"  root     {root.hex()}",
            ]
        if self.cosigned_s:
            lines.append(f"  {self.as_of}")
            lines += [f"    {time_of(t)}  {name}" for name, t in sorted(self.cosigned_s.items())]
        lines += [f"  {row.line}" for row in self.rows]
        lines += [f"holds    {check}: {message}" for check, message in self.checks]
        lines += [f"note     {note}" for note in self.notes]
        lines += [_line(finding) for finding in self.findings]
        if self.more:
            lines.append(f"FINDING  and {self.more} more")
        found = len(self.findings) + self.more
        lines.append(f"{found} did not hold." if found else "Everything checked holds.")
        return "\n".join(lines)

    def json(self) -> str:
        """Return the report as one line of JSON."""
        point = self.checkpoint
        document: dict[str, Any] = {
            "subject": self.subject,
            "holds": not self.findings,
            "checkpoint": point
            and {"origin": point.origin, "size": point.size, "root": point.root.hex()},
            "cosigned": {name: time_of(t) for name, t in sorted(self.cosigned_s.items())},
            "entries": [row._asdict() for row in self.rows],
            "checks": [check._asdict() for check in self.checks],
            "notes": self.notes,
            "findings": [asdict(finding) for finding in self.findings],
            "more_findings": self.more,
        }
        return json.dumps(document, ensure_ascii=False)


def time_of(seconds: int) -> str:
    """Return an instant as ISO 8601 in UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"


def _line(finding: Finding) -> str:
    where = "" if finding.index is None else f" entry {finding.index}:"
    return f"FINDING  {finding.check}:{where} {finding.message}"

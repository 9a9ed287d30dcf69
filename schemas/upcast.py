"""Old documents to newer ones: pure functions over opened documents, one a step.

A path may be absent because it was withheld, and stays absent. Only documents are upcast;
records, their bytes and the type they were sealed under stay as the writer made them.
"""

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]


def to_newest(type: str, document: Document) -> Document:
    """Return `document`, written as `type`, in the newest version of that event."""
    while type in STEPS:
        type, step = STEPS[type]
        document = step(document)
    return document


def leads(older: str, newer: str) -> bool:
    """Return whether the steps lead from one full name to another."""
    while older in STEPS and older != newer:
        older, _ = STEPS[older]
    return older == newer


def _safe_contact_v1_to_v2(old: Document) -> Document:
    """One channel becomes a list of one; half a channel is none, for a wrong way is a danger."""
    new = {path: value for path, value in old.items() if path not in ("channel", "address")}
    if "channel" in old and "address" in old:
        new["channels"] = [{"kind": old["channel"], "address": old["address"], "safe": True}]
    return new


STEPS: dict[str, tuple[str, Callable[[Document], Document]]] = {
    "nrm.v1.SafeContactSet": ("nrm.v2.SafeContactSet", _safe_contact_v1_to_v2),
}
"""Full name -> the next full name and the step to it."""

"""The reason codes of the consent decision: what each says, in the order of the table."""

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    "D01": "The agency is unknown, suspended or not designated now.",
    "D02": "The case is erased or restricted, and nobody reads it.",
    "P00": "The agency wrote it itself.",
    "D11": "The person named this recipient as a danger.",
    "P02": "A court, a best-interests decision or a law discloses it; a notice is owed.",
    "D03": "No role of the agency brings this purpose.",
    "P03": "A life is in danger and an emergency act covers it; a notice is owed.",
    "D04": "The category is above what the agency's roles may see for this purpose.",
    "D10": "The agency is in another country, and transfers go through the border service.",
    "D12": "The agency has no part in the case.",
    "D05": "A refusal covers it.",
    "P01": "A consent covers it.",
    "D13": "An act covers it, but not events as old as this one.",
    "D08": "An act covers it, but does not hold yet.",
    "D09": "An act covers it, but holds no longer.",
    "D07": "An act covers it, but whoever gave it may not give it.",
    "D06": "An act covers it, but no evidence of it is kept.",
    "D00": "Nothing permits it.",
}
"""Reason code -> one sentence; P permits, D denies. The first row that fires decides."""

MISSES = ("D06", "D07", "D09", "D08", "D13")
"""Checks that an act can fail, farthest from permitting first; what is to come is nearer than
what is over. Of several acts the nearest is named, of equally near ones the first recorded."""

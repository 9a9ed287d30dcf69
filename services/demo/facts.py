"""The coded facts of a case: drawn from published frequencies, or read from a CTDC-style file.

Frequencies: Counter-Trafficking Data Collaborative (CTDC), k-anonymised global data set of
2020, counts under 11 left out. No row of it is here; a file is read row by row and not kept.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from domain.errors import Malformed

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a case is about, in codes."""

    sex: str
    """HTCDS prs_Gender."""
    age_band: str
    """CTDC ageBroad."""
    citizenship: str
    """ISO 3166-1 alpha-2, or unknown."""
    exploitation: tuple[str, ...]
    """HTCDS vic_TypeOfExploitation."""
    means: tuple[str, ...]
    """HTCDS vic_MethodsOfControl, or x-Ctdc for a CTDC composite that has no finer code."""
    area: str
    """Country of exploitation, ISO 3166-1 alpha-2, or unknown."""
    by_hotline: bool
    """Whether a helpline heard of it first."""


Frequencies = Mapping[str, int]

_SEX: Frequencies = {"Female": 35_506, "Male": 13_267}
_AGE: Frequencies = {
    "": 12_348,
    "0--8": 1_556,
    "9--17": 8_645,
    "18--20": 4_448,
    "21--23": 4_213,
    "24--26": 3_464,
    "27--29": 2_641,
    "30--38": 7_077,
    "39--47": 2_821,
    "48+": 1_560,
}
_CITIZENSHIP: Frequencies = {
    **{"PH": 11_365, "": 9_136, "UA": 7_761, "MD": 5_901, "US": 3_636, "KH": 1_979, "ID": 1_971},
    **{"BY": 1_463, "MM": 1_250, "RO": 655, "GH": 544, "KG": 437, "BG": 342, "HT": 339},
    **{"UZ": 261, "VN": 170, "GW": 145, "LA": 126, "CO": 124, "NG": 108, "AF": 97},
}
_AREA: Frequencies = {
    **{"US": 12_512, "": 11_019, "UA": 5_399, "MD": 4_504, "RU": 2_738, "PH": 1_988, "ID": 1_777},
    **{"KH": 1_000, "MY": 930, "GH": 544, "AE": 504, "BY": 400, "TH": 391, "SN": 370, "BG": 356},
}
_EXPLOITATION: Frequencies = {
    "": 16_174,
    "Sexual": 15_989,
    "Labor": 8_969,
    "Other": 7_063,
    "Slavery/Similar": 359,
    "Forced Marriage": 168,
    "Multiple": 79,
}
_LABOUR: Frequencies = {"": 42_552, "Other": 3_356, "Domestic Work": 2_744, "Begging": 149}
_CONTROL: Frequencies = {
    "Other": 27_384,
    "": 11_814,
    "Threats": 4_384,
    "Financial": 3_250,
    "Physical": 1_749,
    "Survival": 220,
}
_SOURCE: Frequencies = {"Case Management": 36_289, "Hotline": 12_512}

_MARGINALS: Mapping[str, Frequencies] = {
    "gender": _SEX,
    "ageBroad": _AGE,
    "citizenship": _CITIZENSHIP,
    "CountryOfExploitation": _AREA,
    "ExploitType": _EXPLOITATION,
    "Labor_Type": _LABOUR,
    "control_category": _CONTROL,
    "Datasource": _SOURCE,
}

_SEX_CODES = {"Female": "Feminine", "Male": "Masculine"}
_EXPLOITATION_CODES = {
    "Sexual": ("SexualExploitation",),
    "Labor": ("ForcedLabour",),
    "Slavery/Similar": ("Servitude",),
    "Forced Marriage": ("ForcedMarriage",),
    "Multiple": ("ForcedLabour", "SexualExploitation"),
    "Other": ("Other",),
}
_LABOUR_CODES = {"Domestic Work": "x-DomesticServitude", "Begging": "ForcedBegging"}
# Composites of several HTCDS codes: we do not pretend to know which of them it was.
_MEANS_CODES = {"Other": "Other"} | {
    word: f"x-Ctdc{word}" for word in ("Threats", "Financial", "Physical", "Survival")
}
_COUNTRY = re.compile("[A-Z]{2}")
_NEEDED = {"gender", "ageBroad", "citizenship"}


def drawn(rng: Random) -> Facts:
    """Return facts drawn from the published frequencies, each column by itself."""
    return coded(
        {
            column: rng.choices(tuple(counts), tuple(counts.values()))[0]
            for column, counts in _MARGINALS.items()
        }
    )


def read_facts(path: Path) -> Iterator[Facts]:
    """Yield the facts of each row of a CTDC-style CSV file, one row in memory at a time.

    Columns may be those of either published recoding; `Malformed` CSV_COLUMNS or CSV_UNREADABLE.
    """
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.DictReader(file)
        try:
            if not _NEEDED.issubset(rows.fieldnames or ()):
                raise Malformed("CSV_COLUMNS", f"needs the columns {', '.join(sorted(_NEEDED))}")
            for row in rows:
                yield coded(row)
        except csv.Error as e:
            raise Malformed("CSV_UNREADABLE", f"line {rows.line_num} is no CSV") from e


def coded(row: Mapping[str, str | None]) -> Facts:
    """Return one row in the codes of the mechanism; what is missing or not known is unknown."""

    def said(column: str) -> str:
        return (row.get(column) or "").strip()

    age = said("ageBroad")
    control = said("control_category")
    return Facts(
        sex=_SEX_CODES.get(said("gender"), "NonSpecifiedUnknown"),
        age_band=age if age and age in _AGE else UNKNOWN,
        citizenship=_country(said("citizenship")),
        exploitation=_exploitation(said),
        means=(_MEANS_CODES.get(control, "x-Unknown"),),
        area=_country(said("CountryOfExploitation")),
        by_hotline=said("Datasource") == "Hotline",
    )


def _exploitation(said: Callable[[str], str]) -> tuple[str, ...]:
    found = list(_EXPLOITATION_CODES.get(said("ExploitType"), ()))
    if not found and _yes(said("isForcedLabour")):
        found.append("ForcedLabour")
    if _yes(said("isSexualExploit")) and "SexualExploitation" not in found:
        found.append("SexualExploitation")
    if said("Labor_Type") in _LABOUR_CODES:
        found.append(_LABOUR_CODES[said("Labor_Type")])
    return tuple(found) or ("x-Unknown",)


def _yes(text: str) -> bool:
    return text in {"1", "1.0"}


def _country(text: str) -> str:
    return text if _COUNTRY.fullmatch(text) else UNKNOWN

"""The words of the mechanism that code compares: categories, purposes, roles, seats.

Terms follow the NRM handbook (OSCE/ODIHR, 2nd edition, 2022). Category numbers are frozen.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Category(IntEnum):
    """How a field is protected; the number stands in sealed bytes and is never reused."""

    ROUTING = 0
    IDENTITY = 1
    CONTACT = 2
    FAMILY = 3
    HEALTH = 4
    EXPLOITATION = 5
    LEGAL = 6
    PROTECTION = 7
    CASEWORK = 8
    STATISTICS = 9

    @property
    def bit(self) -> int:
        """This category in a category mask."""
        return 1 << self


SEALED = tuple(c for c in Category if c is not Category.ROUTING)
"""Categories that only consent or a legal basis opens."""

ALL_SEALED = sum(c.bit for c in SEALED)
"""The mask of every sealed category."""


def mask_of(categories: Iterable[str]) -> int:
    """Return the mask of `categories` by name; what is no sealed category is left out."""
    return sum({Category[name].bit for name in categories if name in _SEALED_NAMES})


def names_of(mask: int) -> tuple[str, ...]:
    """Return the names of the categories in `mask`, in category order."""
    return tuple(c.name for c in SEALED if mask & c.bit)


_SEALED_NAMES = frozenset(c.name for c in SEALED)


class Purpose(StrEnum):
    """What an agency may use a disclosure for."""

    PROTECTION_SUPPORT = "protection_support"
    INVESTIGATION = "investigation"
    PROSECUTION = "prosecution"
    HEALTH_CARE = "health_care"
    LEGAL_AID = "legal_aid"
    RETURN_OR_RESIDENCE = "return_or_residence"
    COMPENSATION = "compensation"
    MONITORING = "monitoring"


CRIMINAL_JUSTICE = frozenset({Purpose.INVESTIGATION, Purpose.PROSECUTION})
"""Cooperation with police and prosecution: an act of consent of its own, never bundled."""


class Role(StrEnum):
    """What an agency is designated as; a dated designation, never a fact of nature."""

    NRM_COORDINATOR = "nrm_coordinator"
    COMPETENT_AUTHORITY = "competent_authority"
    FIRST_RESPONDER = "first_responder"
    SERVICE_PROVIDER = "service_provider"
    CHILD_PROTECTION = "child_protection"
    GUARDIAN = "guardian"
    POLICE = "police"
    PROSECUTOR = "prosecutor"
    COURT = "court"
    IMMIGRATION_AUTHORITY = "immigration_authority"
    ASYLUM_AUTHORITY = "asylum_authority"
    BORDER_GUARD = "border_guard"
    LABOUR_INSPECTORATE = "labour_inspectorate"
    HEALTH = "health"
    LEGAL_AID = "legal_aid"
    CONSULAR = "consular"
    INTERNATIONAL_ORGANISATION = "international_organisation"
    NATIONAL_RAPPORTEUR = "national_rapporteur"
    CROSS_BORDER_FOCAL_POINT = "cross_border_focal_point"
    AUDITOR = "auditor"


class Seat(NamedTuple):
    """A reader: one agency acting for one purpose. Feeds, masks and decisions are per seat."""

    agency: str
    purpose: str

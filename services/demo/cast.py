"""The invented agencies of the demo, and what each is designated for."""

from services.members import Member

COUNTRY = "GB"
POLICE = "gb-police"
SHELTER = "gb-shelter"
HEALTH = "gb-health"
AUTHORITY = "gb-authority"
RAPPORTEUR = "gb-rapporteur"

CAST = (
    Member(
        id=POLICE,
        name="Westmere Police",
        country=COUNTRY,
        roles={
            "police": ("protection_support", "investigation"),
            # Without purposes: it acts as first responders do and sees no contacts.
            "first_responder": (),
        },
    ),
    Member(
        id=SHELTER,
        name="Harbour House",
        country=COUNTRY,
        roles={
            "service_provider": ("protection_support",),
            "child_protection": ("protection_support",),
            "first_responder": ("protection_support",),
        },
    ),
    Member(
        id=HEALTH,
        name="Westmere Health Trust",
        country=COUNTRY,
        roles={"health": ("health_care", "protection_support")},
    ),
    Member(
        id=AUTHORITY,
        name="Competent Authority",
        country=COUNTRY,
        roles={"competent_authority": ("protection_support",)},
    ),
    Member(
        id=RAPPORTEUR,
        name="National Rapporteur",
        country=COUNTRY,
        roles={"national_rapporteur": ("monitoring",)},
    ),
)
"""The five agencies that have a gateway."""

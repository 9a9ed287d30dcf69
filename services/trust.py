"""The public keys that every part of a mechanism pins: decided once by people, never fetched.

No secret is in it. Parts that run apart each have a copy, `trust.json` in their data folder.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from domain.errors import Malformed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Ed25519 keys of 32 bytes, and the custodian's MLKEM768-X25519 key."""

    hub: str
    """Name of the hub that they are pinned for."""
    registrars: Mapping[str, bytes]
    """Id -> key of whoever approves registry facts."""
    operator: bytes
    """Key of the coordinator, who writes them down."""
    custodian: bytes
    custodian_opening: bytes

    def dumps(self) -> str:
        """Return the keys as JSON, in hex."""
        document = {
            "hub": self.hub,
            "registrars": {name: key.hex() for name, key in self.registrars.items()},
            "operator": self.operator.hex(),
            "custodian": self.custodian.hex(),
            "custodian_opening": self.custodian_opening.hex(),
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def loads(cls, text: str) -> "Trust":
        """Return the keys in `text`; `Malformed` TRUST when it is not just them."""
        try:
            document = json.loads(text)
            trust = cls(
                hub=document.pop("hub"),
                registrars={n: bytes.fromhex(k) for n, k in document.pop("registrars").items()},
                **{name: bytes.fromhex(key) for name, key in document.items()},
            )
        except (ValueError, TypeError, AttributeError, KeyError) as e:
            raise Malformed(
                "TRUST", "trust.json is damaged; get it again from the coordinator"
            ) from e
        return trust

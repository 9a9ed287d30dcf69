"""The public keys that every part of a mechanism pins: decided once by people, never fetched.

No secret is in it. Parts that run apart each have a copy, `trust.json` in their data folder.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from domain.errors import Malformed
from domain.sealing.ports import OPENING_KEY_SIZE
from domain.trail.notes import Algorithm, VerifierKey

REGISTRAR = "registrars/"
"""What a registrar's name begins with in a share."""
_REGISTRARS = 2
"""Every registry fact is approved by two."""
_SIGNING_KEY_SIZE = 32
_SIZES = {
    "operator": _SIGNING_KEY_SIZE,
    "custodian": _SIGNING_KEY_SIZE,
    "custodian_opening": OPENING_KEY_SIZE,
    "notary": _SIGNING_KEY_SIZE,
}
_LOG = "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Ed25519 keys of 32 bytes, the custodian's MLKEM768-X25519 key of 1216, and the trail's."""

    hub: str
    """Name of the hub that they are pinned for."""
    registrars: Mapping[str, bytes]
    """Id -> key of the two who approve registry facts."""
    operator: bytes
    """Key of the coordinator, who writes them down."""
    custodian: bytes
    custodian_opening: bytes
    notary: bytes
    """Key of the notary's own statements: what was disclosed. The log has another."""
    log: str
    """Verifier key (C2SP signed-note) of the trail; its name is the trail's origin."""

    def dumps(self) -> str:
        """Return the keys as JSON, in hex."""
        document = {
            "hub": self.hub,
            "registrars": {name: key.hex() for name, key in self.registrars.items()},
            "operator": self.operator.hex(),
            "custodian": self.custodian.hex(),
            "custodian_opening": self.custodian_opening.hex(),
            "notary": self.notary.hex(),
            "log": self.log,
        }
        return json.dumps(document, indent=1) + "\n"

    @property
    def pins(self) -> Mapping[str, str]:
        """The keys by the names that shares give them, as `joined` takes them."""
        keys = {name: getattr(self, name).hex() for name in _SIZES}
        approving = {f"{REGISTRAR}{name}": key.hex() for name, key in self.registrars.items()}
        return {**keys, **approving, _LOG: self.log}

    @classmethod
    def loads(cls, text: str | bytes) -> "Trust":
        """Return the keys in `text`; `Malformed` TRUST when it is not just them."""
        try:
            keys = _object(text)
            return _trust(keys.pop("hub", None), keys.pop("registrars", None), keys)
        except ValueError as e:
            message = f"trust.json is damaged ({e}); get it again from the coordinator"
            raise Malformed("TRUST", message) from e

    @classmethod
    def joined(cls, hub: str, shares: Iterable[str | bytes]) -> "Trust":
        """Return the keys of `hub` from what each body gave of its own, as `nrm-hub keys` prints.

        A share is a JSON object: `custodian`, `custodian_opening`, `operator`, `notary` or
        `registrars/NAME` -> key in hex, `log` -> verifier key. `Malformed`
        TRUST_SHARES when a key is damaged, missing or given twice.
        """
        try:
            keys: dict[str, object] = {}
            for name, key in chain.from_iterable(_object(share).items() for share in shares):
                if name in keys:
                    raise ValueError(f"{name!r} is given twice")
                keys[name] = key
            approving = [name for name in keys if name.startswith(REGISTRAR)]
            registrars = {name.removeprefix(REGISTRAR): keys.pop(name) for name in approving}
            return _trust(hub, registrars, keys)
        except ValueError as e:
            message = f"{e}; give the files that `nrm-hub keys` printed, one of each part"
            raise Malformed("TRUST_SHARES", message) from e


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(text).items())
    except (ValueError, AttributeError, RecursionError) as e:
        raise ValueError("no JSON object") from e


def _trust(hub: object, registrars: object, keys: Mapping[str, object]) -> Trust:
    """Return them as they are to be; ValueError says what is wrong with them."""
    if not isinstance(hub, str) or not isinstance(registrars, dict):
        raise ValueError("hub or registrars missing")  # noqa: TRY004 - of a file, not a program
    wanted = {*_SIZES, _LOG}
    if missing := wanted - keys.keys():
        raise ValueError(f"{', '.join(sorted(missing))} missing")
    if keys.keys() != wanted:
        raise ValueError("something else is in it")
    approving = {n: _key(f"registrar {n!r}", k, _SIGNING_KEY_SIZE) for n, k in registrars.items()}
    if not len(set(approving.values())) == len(approving) == _REGISTRARS:
        raise ValueError(f"there are {_REGISTRARS} registrars, each with a key of its own")
    pinned = {name: _key(name, keys[name], size) for name, size in _SIZES.items()}
    return Trust(hub=hub, registrars=approving, log=_log(keys[_LOG]), **pinned)


def _log(text: object) -> str:
    """Return the vkey of a log; it signs with Ed25519, which every verifier knows."""
    try:
        known = VerifierKey.parse(str(text)).algorithm is Algorithm.ED25519
    except Malformed as e:
        raise ValueError(f"log is no verifier key: {e.message}") from e
    if not known:
        raise ValueError("the log's verifier key is one of Ed25519, type 1")
    return str(text)


def _key(whose: str, text: object, size: int) -> bytes:
    try:
        key = bytes.fromhex(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        key = b""
    if len(key) != size:
        raise ValueError(f"the key of {whose} is not {size} bytes in hex")
    return key

"""What every process shares: the pinned public keys, and each part's own secrets."""

import contextlib
import gc
import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.kafka.names import Names
from adapters.keystore import Cost, FileKeystore
from adapters.notes import note_signer
from adapters.sealing import CryptographySealing, self_test
from adapters.signing import Ed25519Signing
from domain.agency import Registry
from domain.errors import Conflict, Malformed, Refused, Unavailable
from domain.rules.world import World
from domain.secret import Secret
from domain.standing import Key, Period
from domain.trail.notes import Algorithm, NoteSigning
from schemas.language import AvroLanguage
from services.bootstrap.settings import Settings, policy_of
from services.directory import Directory
from services.trust import REGISTRAR, Trust

if TYPE_CHECKING:
    from adapters.kafka.client import Broker

CUSTODIAN = "custodian"
NOTARY = "notary"
COORDINATOR = "gb-coordinator"
GC_THRESHOLDS = (100_000, 20, 20)
REGISTRARS = ("registrar-a", "registrar-b")
_SIGNING, _OPENING, _LOG = "signing", "opening", "log"
PINS: Mapping[str, Mapping[str, str]] = {
    CUSTODIAN: {_SIGNING: CUSTODIAN, _OPENING: "custodian_opening"},
    NOTARY: {_SIGNING: NOTARY, _LOG: "log"},
    f"gateways/{COORDINATOR}": {_SIGNING: "operator"},
    **{f"{REGISTRAR}{name}": {_SIGNING: f"{REGISTRAR}{name}"} for name in REGISTRARS},
}
"""Each part whose keys everybody pins -> its secrets -> what its share calls their public keys."""
TRUST = "trust.json"


def now_ms() -> int:
    """Return the time in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class Parts:
    """What every part shares that holds no secret, checked once before anything starts."""

    def __init__(self, settings: Settings) -> None:
        """Run the cryptographic self-test; `Corrupt` CRYPTO_SELF_TEST when it fails."""
        self_test()
        # The state is frozen dataclasses without cycles: looking for some all the time is waste.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        self.settings = settings
        self.language = AvroLanguage()
        self.sealing = CryptographySealing()
        self.signing = Ed25519Signing()
        policy = policy_of(settings)
        self.world = World(
            registry=Registry(),
            policies={policy.id: policy},
            home=policy.country,
            policy_id=policy.id,
        )
        self._keystores: dict[str, FileKeystore] = {}
        self._trust: Trust | None = None

    def folder(self, part: str) -> Path:
        """Return the folder of a part, for its owner alone.

        `Unavailable` DATA_FOLDER when it cannot be made.
        """
        path = self.settings.data / part
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as e:
            message = f"{path} cannot be made ({e.strerror}): set NRM_DATA to one that can"
            raise Unavailable("DATA_FOLDER", message) from e
        return path

    def keystore(self, part: str) -> FileKeystore:
        """Return the keystore of a part, opened once: stretching the passphrase takes a while."""
        if part not in self._keystores:
            keys = self.folder(f"{part}/keys")
            keys.chmod(0o700)
            # A random passphrase has nothing to stretch; a person's has.
            cost = None if self.settings.passphrase else Cost(memory_kib=64, iterations=1)
            self._keystores[part] = FileKeystore(keys, self._passphrase(part), cost)
        return self._keystores[part]

    def _passphrase(self, part: str) -> Secret:
        if self.settings.passphrase:
            return Secret(self.settings.passphrase.encode())
        return Secret(self.text_secret(part, "passphrase").encode())

    def text_secret(self, part: str, name: str) -> str:
        """Return the random text in a file of a part that its owner alone may read."""
        path = self.folder(part) / name
        if not path.exists():
            # Written whole and then named, so that a crash leaves no empty secret behind.
            temporary = path.with_name(f".{name}.{secrets.token_hex(8)}.new")
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(temporary)
            temporary.unlink()
        return path.read_text("ascii")

    def secret(self, part: str, name: str) -> Secret:
        """Return a part's secret, made at first use.

        What trust.json pins is never made anew: `Refused` TRUST_OTHER_KEYS when the secret is
        gone or is another.
        """
        if name in PINS.get(part, {}) and self.pinning:
            return self._pinned(part, name)
        keystore = self.keystore(part)
        try:
            return keystore.get(name)
        except Refused:
            with contextlib.suppress(Conflict):  # another process of the part was first
                return keystore.create(name)
        return keystore.get(name)

    @property
    def pinning(self) -> bool:
        """Whether the bodies have pinned their keys: trust.json lies here."""
        return (self.settings.data / TRUST).exists()

    def _pinned(self, part: str, name: str) -> Secret:
        keys, pin = self.settings.data / part / "keys", PINS[part][name]
        pinned = self.trust.pins.get(pin)
        if FileKeystore.holds(keys, name):  # opening an empty one would begin a keystore
            found = self.keystore(part).get(name)
            if self._shared(name, found) == pinned:
                return found
        message = (
            f"{keys} has not the key that trust.json pins as {pin}: restore it from its backup,"
            " or the bodies pin a new one together (docs/runbook.md)"
        )
        raise Refused("TRUST_OTHER_KEYS", message)

    def _shared(self, name: str, secret: Secret) -> str:
        """Return the public half of a pinned secret, as a share has it."""
        if name == _LOG:
            return self._log_signer(secret).key.text
        public = self.sealing.opening_key if name == _OPENING else self.signing.public_key
        return public(secret.reveal()).hex()

    def public_key(self, part: str) -> bytes:
        """Return the Ed25519 public key of a part."""
        return self.signing.public_key(self.secret(part, _SIGNING).reveal())

    def public_keys(self, agency: str) -> tuple[bytes, bytes]:
        """Return an agency's (signing key, opening key), made at first use."""
        part = f"gateways/{agency}"
        seed = self.secret(part, _OPENING).reveal()
        return self.public_key(part), self.sealing.opening_key(seed)

    def has_keys(self, agency: str) -> bool:
        """Return whether the agency's keys lie here, so that its gateway can run here."""
        return FileKeystore.holds(self.settings.data / "gateways" / agency / "keys", _SIGNING)

    def has_token(self, agency: str) -> bool:
        """Return whether the token of the agency's gateway lies here."""
        return (self.settings.data / "gateways" / agency / "token").is_file()

    @property
    def names(self) -> Names:
        """Return what the hub's topics are called."""
        return Names(self.settings.hub_id)

    @property
    def broker(self) -> "Broker":
        """Return the brokers; `Malformed` when none are set."""
        if self.settings.kafka is None:
            raise Malformed("KAFKA_BOOTSTRAP", "set NRM_KAFKA_BOOTSTRAP to host:port[,host:port]")
        return self.settings.kafka

    @property
    def trust(self) -> Trust:
        """Return the pinned public keys: trust.json, or the keys that lie here, if all do."""
        if self._trust is None:
            self._trust = self.require_trust() if self.pinning else self.own_keys()
        return self._trust

    def require_trust(self) -> Trust:
        """Return what trust.json pins; `Refused` where it is missing or another hub's.

        A part that runs apart calls it first: other parts never pin keys that were only made here.
        """
        path = self.settings.data / TRUST
        try:
            found = Trust.loads(path.read_bytes())
        except FileNotFoundError as e:
            message = f"{path} is missing: get it from the coordinator (docs/operating.md)"
            raise Refused("TRUST_MISSING", message) from e
        except OSError as e:
            raise Malformed("TRUST", f"{path} cannot be read: {e.strerror}") from e
        if found.hub != self.settings.hub_id:
            message = f"{path} is for {found.hub!r}, and NRM_HUB_ID is {self.settings.hub_id!r}"
            raise Refused("TRUST_OF_ANOTHER_HUB", message)
        return found

    def share(self, part: str) -> str:
        """Return the public keys of a part that everybody pins, for `Trust.joined`.

        They are made if they are not there. `Malformed` PART for a part that nobody pins.
        """
        if part not in PINS:
            raise Malformed("PART", f"say one of: {', '.join(PINS)}")
        keys = {
            pin: self._shared(name, self.secret(part, name)) for name, pin in PINS[part].items()
        }
        return json.dumps(keys) + "\n"

    def log_signer(self) -> NoteSigning:
        """Return the key that signs the trail's checkpoints, made at first use."""
        return self._log_signer(self.secret(NOTARY, _LOG))

    def _log_signer(self, seed: Secret) -> NoteSigning:
        return note_signer(self.settings.origin, Algorithm.ED25519, seed)

    def own_keys(self) -> Trust:
        """Return the public keys of every pinned part, all of which are kept here.

        They are made if they are not there: so does the embedded mechanism, which runs them all.
        """
        return Trust.joined(self.settings.hub_id, [self.share(part) for part in PINS])

    def registrars(self) -> Mapping[str, bytes]:
        """Return the pinned registrars, id -> public key."""
        return self.trust.registrars

    def operator(self) -> Key:
        """Return the coordinator's pinned key, which may write the first registry facts."""
        return Key(
            agency=COORDINATOR,
            signing_key=self.trust.operator,
            opening_key=b"",
            period=Period(starts=0),
        )

    def directory(self) -> Directory:
        """Return an empty directory that pins the registrars."""
        return Directory(self.language, self.registrars(), self.signing.verify)

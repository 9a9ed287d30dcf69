"""The policy of witnesses: whom the trail shows its checkpoints, and how many must cosign."""

from collections.abc import Callable, Mapping
from functools import cache

from adapters.http_witness import HttpWitness
from adapters.notes import NoteVerifier
from adapters.trail_files import FolderTrailFiles
from domain.errors import NotAuthentic, Refused
from domain.trail.quorum import Policy
from services.bootstrap.parts import Parts

POLICY = "policy"
"""Its file, in the data folder beside trust.json."""


def witness_policy(parts: Parts) -> bytes:
    """Return the policy of witnesses that lies here; `Refused` POLICY_MISSING if none does."""
    path = parts.settings.data / POLICY
    if not path.exists():
        message = f"{path} is missing: agree on the witnesses first (docs/operating.md)"
        raise Refused("POLICY_MISSING", message)
    return path.read_bytes()


def ensure_policy(parts: Parts, witnesses: Mapping[str, str]) -> None:
    """Write the policy of a mechanism on one machine, if there is none: all must cosign.

    `witnesses` are by name their vkeys, each followed by a space and its URL if it has one.
    """
    path = parts.settings.data / POLICY
    if not path.exists():
        lines = [f"log {parts.trust.log}"]
        lines += [f"witness {name} {key}" for name, key in witnesses.items()]
        lines += [f"group all-of-them all {' '.join(witnesses)}", "quorum all-of-them", ""]
        FolderTrailFiles(path.parent).write({POLICY: "\n".join(lines).encode()})


def pinned_policy(parts: Parts) -> Callable[[], Policy]:
    """Return what gives the pinned policy, read once it lies here.

    `Refused` POLICY_MISSING until then, `Malformed` POLICY for a file that is none,
    `NotAuthentic` POLICY_OF_ANOTHER_LOG unless its log is the one that trust.json pins.
    """

    @cache  # not what it raises
    def pinned() -> Policy:
        policy = Policy.parse(witness_policy(parts))
        if [key.text for key in policy.log_keys] != [parts.trust.log]:
            message = "the policy is for another log than trust.json pins; get both anew"
            raise NotAuthentic("POLICY_OF_ANOTHER_LOG", message)
        return policy

    return pinned


def witnesses_of(policy: Policy, addresses: Mapping[str, str]) -> dict[str, HttpWitness]:
    """Return the witnesses of a policy; `addresses` are of those that it names without a URL."""
    found = {}
    for name, witness in policy.witnesses.items():
        address = witness.url or addresses.get(name)
        if address is None:
            message = f"the policy gives no URL for witness {name}; add it to its line"
            raise Refused("WITNESS_URL", message)
        found[name] = HttpWitness(address, witness.key, NoteVerifier())
    return found

"""The policy of witnesses that a part pins beside trust.json."""

from collections.abc import Callable
from functools import cache

from domain.errors import NotAuthentic
from domain.trail.quorum import Policy
from services.bootstrap.notary import policy_of
from services.bootstrap.parts import Parts


def pinned_policy(parts: Parts) -> Callable[[], Policy]:
    """Return what gives the pinned policy, read once it lies here.

    `Refused` POLICY_MISSING until then, `Malformed` POLICY for a file that is none,
    `NotAuthentic` POLICY_OF_ANOTHER_LOG unless its log is the one that trust.json pins.
    """

    @cache  # not what it raises
    def pinned() -> Policy:
        policy = Policy.parse(policy_of(parts))
        if [key.text for key in policy.log_keys] != [parts.trust.log]:
            message = "the policy is for another log than trust.json pins; get both anew"
            raise NotAuthentic("POLICY_OF_ANOTHER_LOG", message)
        return policy

    return pinned

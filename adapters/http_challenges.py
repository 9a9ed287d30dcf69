"""An auditor's link to the trail, over HTTP."""

from adapters.http_trail import HttpTrailLink
from domain.notary import SignedStatement


class HttpChallengeLink(HttpTrailLink):
    """See the port `ChallengeLink`."""

    async def challenge(self, signed: SignedStatement) -> None:
        """Hand over an AUDIT."""
        await self.call("POST", "/trail/challenges", dict[str, int], body=signed)

"""An auditor's link to the trail, over HTTP."""

from adapters.http_peer import SMALL_BYTES
from adapters.http_trail import HttpTrailLink
from domain.notary import SignedStatement


class HttpChallengeLink(HttpTrailLink):
    """See the port `ChallengeLink`."""

    async def challenge(self, signed: SignedStatement) -> None:
        """Hand over an AUDIT."""
        path, kind = "/trail/challenges", dict[str, int]
        await self.call("POST", path, kind, body=signed, most=SMALL_BYTES)

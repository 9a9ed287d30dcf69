"""The custodian's link to the trail, over HTTP."""

from adapters.http_trail import HttpTrailLink
from domain.notary import StreamProof


class HttpDisclosureLink(HttpTrailLink):
    """See the port `DisclosureLink`."""

    async def disclosures(self, case_id: str, after: int) -> StreamProof:
        """Return a case's disclosures from number `after` on, and the proof that it is all."""
        return await self.call("GET", f"/trail/disclosures/{case_id}?after={after}", StreamProof)

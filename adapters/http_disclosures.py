"""The custodian's link to the trail, over HTTP."""

from adapters.http_trail import HttpTrailLink
from domain.notary import StreamProof

STREAM_BYTES = 8 << 20
"""Of a page of disclosures, whose 4 MiB of entries and bodies come in base64."""


class HttpDisclosureLink(HttpTrailLink):
    """See the port `DisclosureLink`."""

    async def disclosures(self, case_id: str, after: int) -> StreamProof:
        """Return a case's disclosures from number `after` on, and the proof that it is all."""
        path = f"/trail/disclosures/{case_id}?after={after}"
        return await self.call("GET", path, StreamProof, most=STREAM_BYTES)

    async def registry(self, after: int) -> StreamProof:
        """Return the registry's facts from number `after` on, and the proof that it is all."""
        path = f"/trail/registry?after={after}"
        return await self.call("GET", path, StreamProof, most=STREAM_BYTES)

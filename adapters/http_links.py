"""The links to hub, custodian and gateway over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from adapters.http_peer import ANSWER_SECONDS, Link
from domain.action import Action
from domain.gateway import Command, Result
from domain.messages import (
    Answers,
    Deposits,
    FeedPage,
    FollowedPage,
    ReleasePage,
    Submission,
    Why,
    WhyQuestion,
)
from domain.secret import Secret


class HttpHubLink(Link):
    """See the port `HubLink`."""

    async def submit(self, submission: Submission) -> Answers:
        """Send actions in order and return their outcomes."""
        return await self.call("POST", "/v1/actions", Answers, body=submission)

    async def feed(self, purpose: str, cursor: str, wait: float) -> FeedPage:
        """Return a page of the seat's feed."""
        path = f"/v1/feeds/{purpose}?cursor={cursor}&wait={wait}"
        return await self.call("GET", path, FeedPage, wait=wait)

    async def registry(self, after: int) -> FollowedPage:
        """Return registry facts after fact number `after`."""
        return await self.call("GET", f"/v1/registry?after={after}", FollowedPage)

    async def custody(self, after: int, wait: float) -> FollowedPage:
        """Return what the custodian follows after log position `after`."""
        path = f"/v1/custody?after={after}&wait={wait}"
        return await self.call("GET", path, FollowedPage, wait=wait)

    async def why(self, asked: WhyQuestion) -> Why:
        """Return the hub's consent decision."""
        return await self.call("POST", "/v1/why", Why, body=asked)


class HttpCustodianLink(Link):
    """See the port `CustodianLink`."""

    async def deposit(self, deposits: Deposits) -> None:
        """Hand over wrapped data keys."""
        await self.call("POST", "/v1/deposits", dict[str, int], body=deposits)

    async def withdraw(self, action: Action) -> None:
        """Tell of a withdrawal at once."""
        await self.call("POST", "/v1/withdrawals", dict[str, str], body=action)

    async def releases(self, after: int, wait: float) -> ReleasePage:
        """Return changes in what this agency may open."""
        path = f"/v1/releases?after={after}&wait={wait}"
        return await self.call("GET", path, ReleasePage, wait=wait)


class HttpGatewayLink:
    """An agency's own systems, command line or demo talking to their gateway."""

    def __init__(self, base: str, token: str) -> None:
        self._link = Link(base, "", b"", Secret(b""), token)

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def submit(self, commands: Sequence[Command], wait: float = 10.0) -> Sequence[Result]:
        """Carry out commands in their order and return a result for each."""
        body = {"commands": commands}
        path = f"/v1/actions/batch?wait={wait}"
        answer = await self._link.call("POST", path, _Results, body=body, wait=wait)
        return answer.results

    async def case(self, case_id: str) -> list[dict[str, Any]]:
        """Return the events of one case, opened as far as keys allow."""
        return (await self._link.call("GET", f"/v1/cases/{case_id}", _Events)).events

    async def cases(self, limit: int) -> list[dict[str, Any]]:
        """Return the agency's cases, the newest first."""
        return (await self._link.call("GET", f"/v1/cases?limit={limit}", _Cases)).cases

    async def events(self, after: int, wait: float) -> list[dict[str, Any]]:
        """Return events that arrived after number `after`."""
        path = f"/v1/events?after={after}&wait={wait}"
        return (await self._link.call("GET", path, _Events, wait=wait)).events

    async def why(self, asked: WhyQuestion) -> Why:
        """Return one consent decision, with its reason."""
        return await self._link.call("POST", "/v1/why", Why, body=asked)

    async def record(self, fact: str, facts: Mapping[str, Any]) -> None:
        """Record a registry fact, where the gateway is the coordinator's."""
        body = {"fact": fact, "facts": facts}
        await self._link.call(
            "POST", "/v1/registry", dict[str, str], body=body, wait=ANSWER_SECONDS
        )

    async def status(self) -> dict[str, int]:
        """Return the counts of outbox and inbox."""
        return await self._link.call("GET", "/v1/status", dict[str, int])


class _Results(msgspec.Struct):
    results: list[Result]


class _Events(msgspec.Struct):
    events: list[dict[str, Any]]


class _Cases(msgspec.Struct):
    cases: list[dict[str, Any]]

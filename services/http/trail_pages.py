"""The console's page about the trail, and what can be taken from it to an auditor.

Whoever is logged in at an agency's console may see it. To decide about an alarm takes more: the
command line on the gateway's machine.
"""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.errors import HubError
from domain.gateway_trail import Alarm
from domain.notary import Receipt
from domain.own_acts import OwnAct
from services.gateway.trail_report import Act, Fed, Newest, State
from services.http import trail_view
from services.http.login import Session
from services.http.pages import HEADERS, Pages


class ConsoleTrail(Protocol):
    """What the console asks about the trail; see `services.gateway.trail_report.TrailReport`."""

    def state(self) -> State:
        """Return whether there is something to act on."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Return how much is proven, waiting and overdue."""
        ...

    def newest(self) -> Newest | None:
        """Return the newest verified checkpoint."""
        ...

    def feeds(self) -> Sequence[Fed]:
        """Return how much of each seat's feed is proven."""
        ...

    def alarms(self) -> Sequence[tuple[Alarm, OwnAct | None]]:
        """Return every alarm, newest first, and the own action it is about."""
        ...

    def acts(self, event_ids: Iterable[str]) -> Mapping[str, Act]:
        """Return how own actions stand in the trail."""
        ...

    def proof(self, event_id: str) -> tuple[int, Receipt]:
        """Return number and proof of an own action."""
        ...

    def evidence(self, number: int) -> Sequence[tuple[str, bytes]]:
        """Return (path, content) of what proves an alarm."""
        ...


def banners_of(trail: ConsoleTrail, now: int) -> Sequence[trail_view.Banner]:
    """Return what every page shows at `now` (ms); that it cannot be told is no reason for none."""
    try:
        return trail_view.banners(trail.state(), now)
    except HubError as e:
        return (trail_view.unreadable(e.code),)


def trail_routes(trail: ConsoleTrail, pages: Pages) -> list[Route]:
    """Return the routes of the trail's page."""
    face, page = _TrailPages(trail, pages), pages.guarded
    act = "/trail/acts/{event_id:uuid}/"
    return [
        Route("/trail", page(face.show), methods=["GET"]),
        Route("/trail/alarms/{number:int}", page(face.evidence), methods=["GET"]),
        Route(act + "entry", page(face.entry), methods=["GET"]),
        Route(act + "tlog-proof", page(face.proof), methods=["GET"]),
    ]


class _TrailPages:
    def __init__(self, trail: ConsoleTrail, pages: Pages) -> None:
        self._trail = trail
        self._html = pages.html

    async def show(self, request: Request, session: Session) -> Response:
        """Show what is known of the trail."""
        alarms = [trail_view.alarm_view(*one) for one in self._trail.alarms()]
        return self._html(
            "trail.html",
            session=session,
            code=self._trail.state().code,
            counts=self._trail.counts(),
            newest=self._trail.newest(),
            feeds=self._trail.feeds(),
            alarms=sorted(alarms, key=lambda alarm: bool(alarm.decided)),
        )

    async def evidence(self, request: Request, session: Session) -> Response:
        """Hand out what proves an alarm, as a ZIP archive."""
        number = request.path_params["number"]
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path, content in self._trail.evidence(number):
                archive.writestr(zipfile.ZipInfo(path), content)
        return _file(packed.getvalue(), f"alarm-{number}.zip", "application/zip")

    async def entry(self, request: Request, session: Session) -> Response:
        """Hand out the bytes of an own act's entry."""
        place, receipt = self._trail.proof(str(request.path_params["event_id"]))
        return _file(receipt.entry, f"{place}.entry", "application/octet-stream")

    async def proof(self, request: Request, session: Session) -> Response:
        """Hand out the proof that an own act's entry is in the trail (C2SP tlog-proof)."""
        place, receipt = self._trail.proof(str(request.path_params["event_id"]))
        return _file(receipt.proof.encode(), f"{place}.tlog-proof", "text/plain")


def _file(content: bytes, name: str, media_type: str) -> Response:
    saved = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, 200, HEADERS | saved, media_type)

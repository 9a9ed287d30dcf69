"""The staff console: the pages a case worker sees in a browser.

HTML from the server, no script. Every page needs a session, every form its token, and a
referral is sent only after its sender was shown who will get what and on which basis.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from domain.errors import HubError
from domain.gateway import Command, Result
from domain.messages import Why, WhyQuestion
from domain.ports import Language
from domain.vocabulary import SEALED, Category
from services.http import forms
from services.http.forms import Draft, Form, Notice
from services.http.login import OneTimeLogin, Session
from services.http.pages import Pages
from services.http.problems import number_of
from services.http.standing import bases_of
from services.http.timeline import CaseView, case_view
from services.http.trail_pages import ConsoleTrail, banners_of, trail_routes
from services.http.trail_view import act_view

PAGE = 20
_STATIC = Path(__file__).parent / "static"
_NOTICE_STATUS = {"done": 200, "queued": 202, "refused": 422}


class ConsoleGateway(Protocol):
    """What the console asks of a gateway; see `services.gateway.gateway.Gateway`."""

    @property
    def agency(self) -> str:
        """Id of the agency."""
        ...

    def cases(self, limit: int, before: int = 0) -> Sequence[tuple[int, str]]:
        """Return (number of the newest event, case id), newest first."""
        ...

    def case(self, case_id: str) -> Sequence[Mapping[str, Any]]:
        """Return the events of a case, or raise `Refused` NO_SUCH_CASE."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Return how many are queued, refused, and alarms."""
        ...

    def agencies(self) -> Sequence[Mapping[str, Any]]:
        """Return the active agencies: id, name, purposes."""
        ...

    async def why(self, asked: WhyQuestion) -> Why:
        """Return the hub's consent decision, with its reason."""
        ...

    async def submit(self, commands: Sequence[Command]) -> Sequence[Result]:
        """Take commands and return what became of each."""
        ...


def console_routes(
    gateway: ConsoleGateway,
    login: OneTimeLogin,
    *,
    trail: ConsoleTrail,
    language: Language,
    clock: Callable[[], int],
) -> list[BaseRoute]:
    """Return the console's routes; `language` names the category of a field, `clock` is in ms."""

    def name_of(agency: str) -> str:
        return next((a["name"] for a in gateway.agencies() if a["id"] == agency), agency)

    pages = Pages(gateway.agency, login, name_of, lambda: banners_of(trail, clock()))
    console = _Console(gateway, trail, pages, language, clock)
    page, step = pages.guarded, pages.step
    case = "/cases/{case_id:uuid}"
    return [
        Route("/login", pages.ask_login, methods=["GET"]),
        Route("/login", pages.log_in, methods=["POST"]),
        Route("/logout", step(pages.log_out), methods=["POST"]),
        Route("/", page(console.cases), methods=["GET"]),
        Route(case, page(console.case), methods=["GET"]),
        Route(case + "/answer", step(console.answer), methods=["POST"]),
        Route(case + "/withdraw", step(console.withdraw), methods=["POST"]),
        Route(case + "/refer", page(console.refer), methods=["GET"]),
        Route(case + "/refer", step(console.preview), methods=["POST"]),
        Route(case + "/refer/send", step(console.send), methods=["POST"]),
        *trail_routes(trail, pages),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]


class _Console:
    def __init__(
        self,
        gateway: ConsoleGateway,
        trail: ConsoleTrail,
        pages: Pages,
        language: Language,
        clock: Callable[[], int],
    ) -> None:
        self._gateway = gateway
        self._trail = trail
        self._html = pages.html
        self._clock = clock
        self._categories = {
            (type.rpartition(".")[2], path): category
            for type in language.types()
            for path, category in language.shape(type).fields
        }

    async def cases(self, request: Request, session: Session) -> Response:
        """List the agency's cases, newest first."""
        found = self._gateway.cases(PAGE, int(number_of(request, "before", 0)))
        return self._html(
            "cases.html",
            session=session,
            rows=[self._row(case_id) for _, case_id in found],
            counts=self._gateway.counts(),
            older=found[-1][0] if len(found) == PAGE else None,
            first=not request.query_params.get("before"),
        )

    def _row(self, case_id: str) -> tuple[str, CaseView | None, str]:
        """Return (case id, view, reason code when it cannot be shown)."""
        try:
            return case_id, self._view(case_id), ""
        except HubError as e:
            return case_id, None, e.code

    async def case(self, request: Request, session: Session) -> Response:
        """Show one case."""
        return self._case(session, _case_id(request))

    async def answer(self, request: Request, session: Session, form: Form) -> Response:
        """Answer a referral."""
        return await self._carry_out(session, forms.answer(_case_id(request), form))

    async def withdraw(self, request: Request, session: Session, form: Form) -> Response:
        """Take a consent back."""
        return await self._carry_out(session, forms.withdrawal(_case_id(request), form))

    async def refer(self, request: Request, session: Session) -> Response:
        """Show an empty referral."""
        return self._refer(session, self._view(_case_id(request)), Draft(), ())

    async def preview(self, request: Request, session: Session, form: Form) -> Response:
        """Show who will get what and on which basis, or the draft again with what it lacks."""
        view, draft = self._view(_case_id(request)), forms.draft_of(form)
        faults = forms.faults(draft, self._gateway.agency)
        if faults or form.get("edit"):
            return self._refer(session, view, draft, () if form.get("edit") else faults)
        return await self._preview(session, view, draft)

    async def send(self, request: Request, session: Session, form: Form) -> Response:
        """Send a referral whose preview this session was shown; else show the preview."""
        view, draft = self._view(_case_id(request)), forms.draft_of(form)
        seed = form.get("seed", "")
        faults = forms.faults(draft, self._gateway.agency)
        if faults:
            return self._refer(session, view, draft, faults)
        if not session.made(form.get("shown", ""), *forms.said(view.case_id, seed, draft)):
            return await self._preview(session, view, draft)
        command = forms.referral(view.case_id, seed, draft, self._clock())
        notice = forms.notice((await self._gateway.submit([command]))[0])
        if notice.kind == "refused":
            return self._refer(session, view, draft, [notice.text])
        return self._case(session, view.case_id, notice)

    async def _carry_out(self, session: Session, command: Command) -> Response:
        notice = forms.notice((await self._gateway.submit([command]))[0])
        return self._case(session, command.case_id or "", notice)

    def _case(self, session: Session, case_id: str, notice: Notice | None = None) -> Response:
        case, now = self._view(case_id), self._clock()
        acts = self._trail.acts(e.event_id for e in case.events)
        return self._html(
            "case.html",
            _NOTICE_STATUS[notice.kind] if notice else 200,
            session=session,
            case=case,
            acts={event_id: act_view(act, now) for event_id, act in acts.items()},
            notice=notice,
            seed=str(uuid4()),
        )

    def _refer(
        self, session: Session, view: CaseView, draft: Draft, faults: Sequence[str]
    ) -> Response:
        return self._html(
            "refer.html",
            422 if faults else 200,
            session=session,
            case=view,
            draft=draft,
            faults=faults,
            agencies=self._receivers(),
        )

    def _receivers(self) -> dict[str, str]:
        """Return the agencies that a referral can go to: id -> name."""
        others = (a for a in self._gateway.agencies() if a["id"] != self._gateway.agency)
        return {a["id"]: a["name"] for a in others}

    async def _preview(self, session: Session, view: CaseView, draft: Draft) -> Response:
        seed = str(uuid4())
        rows, trouble = await self._ask_why(view.case_id, draft)
        return self._html(
            "preview.html",
            session=session,
            case=view,
            draft=draft,
            rows=rows,
            trouble=trouble,
            seed=seed,
            shown=session.mark(*forms.said(view.case_id, seed, draft)),
        )

    async def _ask_why(
        self, case_id: str, draft: Draft
    ) -> tuple[Sequence[forms.WhyView], HubError | None]:
        """Return a row for each sealed category, or why the hub gives no answer."""
        bases = bases_of(self._gateway.case(case_id))
        rows = []
        for category in SEALED:
            asked = WhyQuestion(
                case_id=case_id, agency=draft.to, purpose=draft.purpose, category=category.name
            )
            try:
                why = await self._gateway.why(asked)
            except HubError as e:
                return (), e
            rows.append(forms.why_view(category, why, bases))
        return rows, None

    def _view(self, case_id: str) -> CaseView:
        documents = self._gateway.case(case_id)
        return case_view(case_id, documents, self._gateway.agency, self._clock(), self._category_of)

    def _category_of(self, event: str, field: str) -> Category | None:
        return self._categories.get((event, field))


def _case_id(request: Request) -> str:
    return str(request.path_params["case_id"])

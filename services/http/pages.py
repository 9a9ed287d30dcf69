"""How pages come about: templates, headers, sessions, forms that carry their token."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.errors import HubError, Malformed
from services.http import forms, words
from services.http.forms import Form
from services.http.login import IDLE_MS, OneTimeLogin, Session
from services.http.problems import body_of, status_of
from services.http.trail_view import Banner

COOKIE = "nrm_console"
BODY_LIMIT = 64 * 1024
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
_TEMPLATES = Path(__file__).parent / "templates"

Endpoint = Callable[[Request], Awaitable[Response]]
Page = Callable[[Request, Session], Awaitable[Response]]
Step = Callable[[Request, Session, Form], Awaitable[Response]]


class Pages:
    """Makes pages for one agency, for those who are logged in."""

    def __init__(
        self,
        agency: str,
        login: OneTimeLogin,
        name_of: Callable[[str], str],
        banners: Callable[[], Sequence[Banner]],
    ) -> None:
        """Take whose pages they are, who may see them, how agencies are called, what all show."""
        self._agency = agency
        self._login = login
        self._banners = banners
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["named"] = name_of

    def guarded(self, show: Page) -> Endpoint:
        """Return `show` for those who are logged in; what goes wrong becomes a page too."""

        async def endpoint(request: Request) -> Response:
            session = self._login.session(request.cookies.get(COOKIE, ""))
            if session is None:
                return self.html("logged_out.html", 401)
            try:
                return await show(request, session)
            except HubError as e:
                return self._error(session, status_of(e), e.message, e.code)

        return endpoint

    def step(self, take: Step) -> Endpoint:
        """Return `take` for forms that this session was given, and for no others."""

        async def checked(request: Request, session: Session) -> Response:
            form = await _form(request)
            if not session.made(form.get("csrf", ""), "csrf"):
                text = "this form is out of date; go back, reload the page and send it again"
                return self._error(session, 403, text, "FORM_STALE")
            return await take(request, session, form)

        return self.guarded(checked)

    async def ask_login(self, request: Request) -> Response:
        """Show a button: whatever only looks at a link does not use it up."""
        return self.html("login.html", code=request.query_params.get("code", ""))

    async def log_in(self, request: Request) -> Response:
        """Open a session with a code."""
        try:
            form = await _form(request)
        except Malformed:
            form = {}
        session_id = self._login.redeem(form.get("code", ""))
        if session_id is None:
            return self.html("logged_out.html", 401)
        response = RedirectResponse("/", 303, HEADERS)
        response.set_cookie(
            COOKIE,
            session_id,
            max_age=IDLE_MS // 1000,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    async def log_out(self, request: Request, _session: Session, _form: Form) -> Response:
        """End the session."""
        self._login.end(request.cookies.get(COOKIE, ""))
        response = RedirectResponse("/", 303, HEADERS)
        response.delete_cookie(COOKIE, path="/")
        return response

    def html(
        self, template: str, status: int = 200, session: Session | None = None, **values: object
    ) -> Response:
        """Return a page; one without a session names no agency and has no forms but its own."""
        body = self._templates.get_template(template).render(
            agency=self._agency if session else "",
            csrf=session.csrf if session else "",
            banners=self._banners() if session else (),
            words=words,
            choices=forms,
            **values,
        )
        return Response(body, status, HEADERS, "text/html")

    def _error(self, session: Session, status: int, text: str, code: str) -> Response:
        return self.html(
            "error.html", status, session=session, text=words.sentence(text), code=code
        )


async def _form(request: Request) -> Form:
    """Return the fields of a form as browsers encode it; of a field given twice, the last."""
    body = await body_of(request, BODY_LIMIT)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError as e:
        raise Malformed("BAD_FORM", "send the form as the page shows it") from e
    # Browsers send line ends as CRLF, whatever was typed or stood in a hidden field.
    return {name: value.replace("\r\n", "\n") for name, value in pairs}

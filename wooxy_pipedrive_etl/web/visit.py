"""What all pages have in common: who may see them, how forms are read, how they respond.

`page` makes an endpoint from a plain function. A page that is not declared public needs a signed-in browser, and every
form needs the token that our own page put into it.
"""

from __future__ import annotations

import functools
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.templating import Jinja2Templates

from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS
from wooxy_pipedrive_etl.mapping.invisible import without_direction_marks
from wooxy_pipedrive_etl.store import Store, connections, sessions
from wooxy_pipedrive_etl.store.connections import ConnectionRecord, UnknownConnection
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS
from wooxy_pipedrive_etl.store.installations import UnknownInstallation
from wooxy_pipedrive_etl.store.keys import OtherKey
from wooxy_pipedrive_etl.store.sentences import database_sentence

from .bodies import TooLarge, read_body
from .kept import keep
from .passwords import Passwords

logger = logging.getLogger(__name__)

# From signing in, whatever the browser does in the meantime.
SESSION_LIFETIME = timedelta(hours=12)

# A form of 1,500 variables stays below both.
MAX_FORM_BYTES = 1024 * 1024
MAX_FORM_FIELDS = 10_000

SIGN_IN = "/sign-in"
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"

Handler = Callable[["Visit"], Response]
Before = Callable[["Visit"], Awaitable[Response | None]]


class Form:
    """The fields of a form that was sent. Of a repeated field, the last counts."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._fields = dict(pairs)

    def get(self, name: str, default: str = "") -> str:
        """Without surrounding spaces."""
        return self._fields.get(name, default).strip()

    def raw(self, name: str) -> str:
        """As it was typed; for passwords."""
        return self._fields.get(name, "")

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def items(self) -> list[tuple[str, str]]:
        return list(self._fields.items())


class Visit:
    """One request for a page: what was asked, by which browser, and ways to respond."""

    def __init__(self, request: Request, form: Form) -> None:
        self.request = request
        self.form = form
        self.store: Store = request.app.state.store
        self.session: dict[str, Any] = request.session
        self._templates: Jinja2Templates = request.app.state.templates

    @property
    def wants_json(self) -> bool:
        return _wants_json(self.request)

    @property
    def public_url(self) -> str:
        """The address at which users open the pages."""
        url: str = self.request.app.state.public_url
        return url

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "").strip()

    def record(self) -> ConnectionRecord:
        """The connection in the path. Raises UnknownConnection."""
        with reading(self.store.engine) as db:
            return connections.get_connection(db, self.request.path_params["name"])

    def render(self, template: str, status: int = 200, **context: Any) -> Response:
        """The template sees `visit`, `csrf` (for the hidden field), `flashes` and the given values."""
        flashes = self.session.pop("flashes", [])
        return self._templates.TemplateResponse(
            self.request,
            template,
            {
                "visit": self,
                "csrf": csrf_token(self.session),
                "signed_in": is_signed_in(self.request),
                "flashes": flashes,
                **context,
            },
            status,
        )

    def flash(self, sentence: str, kind: str = "success", details: str | None = None) -> None:
        """Shown on the next page, with the `details` folded away; `kind`: success, warning or error."""
        # It goes into the cookie, which browsers drop beyond 4 KB.
        plain = without_direction_marks(sentence)[:500]
        flashes = [*self.session.get("flashes", []), [kind, plain, (details or "")[:400]]]
        self.session["flashes"] = flashes[-3:]

    def go(self, path: str, **query: str) -> Response:
        """Sends the browser to one of our own pages, after a form."""
        return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)

    def json(self, content: Any, status: int = 200) -> Response:
        return JSONResponse(content, status)

    def problem(self, status: int, sentence: str) -> Response:
        """A page, or JSON for a script, that says what is wrong."""
        if self.wants_json:
            return JSONResponse({"error": sentence}, status)
        return self.render("problem.html", status, sentence=sentence)


def page(
    handler: Handler, *, public: bool = False, before: Before | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a page. The handler runs in a thread of its own, since it queries the database.

    `public`: also for browsers that are not signed in. `before`: runs before the handler and takes no thread; if it
    returns a response, that is the page's.
    """

    @functools.wraps(handler)
    async def endpoint(request: Request) -> Response:
        if not _is_our_host(request):
            return PlainTextResponse(
                "These pages are not served under this host name; set WOOXY_PIPEDRIVE_PUBLIC_URL to the address at "
                "which people open them.\n",
                421,
            )
        empty = Visit(request, Form())
        try:
            if not public and not await run_in_threadpool(is_signed_in, request):
                if request.method == "POST" and request.headers.get("sec-fetch-site") == "same-origin":
                    sent = Visit(request, await _form(request))
                    if not sent.wants_json:
                        return await run_in_threadpool(_signed_out, sent)
                return _to_sign_in(request)
            form = Form()
            if request.method not in ("GET", "HEAD"):
                if _is_from_elsewhere(request):
                    return await run_in_threadpool(empty.problem, 403, _FORGED)
                form = await _form(request)
                given = form.get(CSRF_FIELD) or request.headers.get(CSRF_HEADER, "")
                if not hmac.compare_digest(given.encode(), csrf_token(request.session).encode()):
                    return await run_in_threadpool(empty.problem, 403, _FORGED)
            visit = Visit(request, form)
            refused = None if before is None else await before(visit)
            if refused is not None:
                return refused
            return await run_in_threadpool(_answer, handler, visit, not public)
        except TooLarge:
            return await run_in_threadpool(empty.problem, 413, "The form is too large; nothing was changed.")
        except ValueError:
            return await run_in_threadpool(empty.problem, 400, "The form can't be read; nothing was changed.")
        except ClientDisconnect:
            return Response(status_code=400)

    # A test searches all routes for pages that are public by mistake.
    endpoint.is_public = public  # type: ignore[attr-defined]
    return endpoint


_FORGED = "The form did not come from this page, or it is too old; nothing was changed. Go back, reload, and try again."


def _answer(handler: Handler, visit: Visit, needs_key: bool) -> Response:
    try:
        if needs_key:
            visit.store.check_key()
        return handler(visit)
    except OtherKey as error:
        return visit.problem(503, str(error))
    except (UnknownConnection, UnknownInstallation) as error:
        return visit.problem(404, str(error))
    except EXPECTED_ERRORS as error:
        return visit.problem(400, str(error))
    except DATABASE_ERRORS as error:
        return visit.problem(503, database_sentence(error))


def csrf_token(session: dict[str, Any]) -> str:
    """The token of the browser's session, made when first needed."""
    token: str = session.setdefault("csrf", secrets.token_urlsafe(32))
    return token


def sign_in(visit: Visit, mark: str) -> None:
    """From now on the browser is signed in, for SESSION_LIFETIME. Its earlier session, with the token of forms, is not
    carried over."""
    with visit.store.engine.begin() as db:
        token = sessions.begin(db, mark, SESSION_LIFETIME)
    visit.session.clear()
    visit.session["token"] = token


def sign_out(visit: Visit) -> None:
    """Ends the session, for everyone who has a copy of its cookie."""
    token = visit.session.get("token")
    if isinstance(token, str):
        with visit.store.engine.begin() as db:
            sessions.end(db, token)
    visit.session.clear()


def is_signed_in(request: Request) -> bool:
    passwords: Passwords = request.app.state.passwords
    store: Store = request.app.state.store
    token, mark = request.session.get("token"), passwords.mark()
    if not isinstance(token, str) or mark is None:
        return False
    with reading(store.engine) as db:
        return sessions.is_open(db, token, mark)


def safe_path(path: str) -> str:
    """One of our own paths to go to, or the first page for anything that could lead elsewhere."""
    parts = urlsplit(path)
    own = (
        path.startswith("/")
        and not path.startswith("//")
        and not parts.scheme
        and not parts.netloc
        and "\\" not in path
        and path.isprintable()
    )
    return path if own else "/"


def _signed_out(visit: Visit) -> Response:
    """The sign-in page for a form that came too late, with what was typed."""
    fields = [(name, value) for name, value in visit.form.items() if name != CSRF_FIELD]
    typed = keep(visit.request.url.path, fields)
    more = "Sign in, and what you typed comes back." if typed else "Sign in, and do it again."
    passwords: Passwords = visit.request.app.state.passwords
    return visit.render(
        "sign_in.html",
        403,
        problem=f"You were signed out; nothing was saved yet. {more}",
        following="/",
        chosen=passwords.is_chosen,
        kept=typed,
    )


def _to_sign_in(request: Request) -> Response:
    if _wants_json(request):
        return JSONResponse({"error": "Your session has ended; sign in again."}, 401)
    # A form's path may not accept GET.
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    query = {"next": path} if request.method == "GET" and path != "/" else {}
    return RedirectResponse(SIGN_IN + (f"?{urlencode(query)}" if query else ""), 303)


async def _form(request: Request) -> Form:
    """Raises TooLarge, and ValueError for anything that is not a form."""
    body = await read_body(request, MAX_FORM_BYTES)
    text = body.decode("utf-8")
    pairs = parse_qsl(
        text, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS, errors="strict", encoding="utf-8"
    )
    if any("\0" in part for pair in pairs for part in pair):
        raise ValueError
    return Form(pairs)


def _is_our_host(request: Request) -> bool:
    """False for another site's name that was pointed here (DNS rebinding)."""
    hosts: frozenset[str] = request.app.state.hosts
    return (request.url.hostname or "") in hosts


def _is_from_elsewhere(request: Request) -> bool:
    """What browsers say about where a form comes from; the token is needed whatever they say."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")

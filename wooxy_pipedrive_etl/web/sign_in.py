"""Signing in and out, and choosing the password when first started."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from . import visit as visits
from .attempts import KNOWN_SECONDS, SLOW_SECONDS, Attempts, TooManyAtOnce
from .kept import kept
from .passwords import SHORTEST, PasswordRefused, Passwords
from .visit import SIGN_IN, Visit, page, safe_path

WELCOME = "/welcome"


def routes() -> list[BaseRoute]:
    return [
        Route(SIGN_IN, page(_show, public=True), methods=["GET"]),
        Route(SIGN_IN, page(_sign_in, public=True, before=_wait_for_turn), methods=["POST"]),
        Route("/sign-out", page(_sign_out), methods=["POST"]),
        Route(WELCOME, page(_show_welcome, public=True), methods=["GET"]),
        Route(WELCOME, page(_choose, public=True, before=_wait_for_turn), methods=["POST"]),
    ]


def _show(visit: Visit) -> Response:
    if visits.is_signed_in(visit.request):
        return visit.go(safe_path(visit.query("next")))
    return _sign_in_page(visit)


def _sign_in(visit: Visit) -> Response:
    passwords = _passwords(visit)
    mark = passwords.mark()
    if mark is None or not passwords.is_right(visit.form.raw("password")):
        return _sign_in_page(visit, 403, "Wrong password.")
    _attempts(visit.request).succeeded(_address(visit.request))
    visits.sign_in(visit, mark)
    typed = kept(visit.form.raw("kept"))
    following = safe_path(visit.form.get("next"))
    answer = visit.go(following) if typed is None else visit.render("kept.html", kept=typed)
    _make_known(visit, answer)
    return answer


async def _wait_for_turn(visit: Visit) -> Response | None:
    """Delays guesses; returns the response to a guess that is not even checked."""
    known = visit.request.cookies.get(_known_cookie(visit.request))
    try:
        await _attempts(visit.request).wait_for_turn(_address(visit.request), known)
    except TooManyAtOnce:
        answer = PlainTextResponse("Too many attempts wait already; try again in some seconds.\n", 429)
        answer.headers["retry-after"] = str(round(SLOW_SECONDS))
        return answer
    return None


def _make_known(visit: Visit, answer: Response) -> None:
    """So that, next time, the browser need not wait for others' guesses."""
    attempts = _attempts(visit.request)
    answer.set_cookie(
        _known_cookie(visit.request),
        attempts.known_browser(secrets.token_urlsafe(16)),
        max_age=KNOWN_SECONDS,
        httponly=True,
        samesite="lax",
        secure=visit.request.app.state.is_https,
    )


def _known_cookie(request: Request) -> str:
    return f"{request.app.state.cookie}-known"


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _sign_in_page(visit: Visit, status: int = 200, problem: str | None = None) -> Response:
    following = safe_path(visit.form.get("next") or visit.query("next"))
    return visit.render(
        "sign_in.html",
        status,
        problem=problem,
        following=following,
        chosen=_passwords(visit).is_chosen,
        kept=visit.form.raw("kept"),
    )


def _sign_out(visit: Visit) -> Response:
    visits.sign_out(visit)
    return visit.go(SIGN_IN)


def _show_welcome(visit: Visit) -> Response:
    if _passwords(visit).is_chosen:
        return visit.go(SIGN_IN)
    return _welcome_page(visit)


def _choose(visit: Visit) -> Response:
    passwords = _passwords(visit)
    password = visit.form.raw("password")
    try:
        if password != visit.form.raw("again"):
            raise PasswordRefused("The two passwords are not the same; type the same one twice.")
        passwords.choose(visit.form.get("invitation"), password)
    except PasswordRefused as error:
        return _welcome_page(visit, 422, str(error))
    mark = passwords.mark()
    assert mark is not None
    visits.sign_in(visit, mark)
    return visit.go("/")


def _welcome_page(visit: Visit, status: int = 200, problem: str | None = None) -> Response:
    invitation = visit.form.get("invitation") or visit.query("invitation")
    return visit.render("welcome.html", status, problem=problem, invitation=invitation, shortest=SHORTEST)


def _passwords(visit: Visit) -> Passwords:
    passwords: Passwords = visit.request.app.state.passwords
    return passwords


def _attempts(request: Request) -> Attempts:
    attempts: Attempts = request.app.state.attempts
    return attempts

"""Signing in and out, and choosing the password at the first start."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from . import visit as visits
from .passwords import SHORTEST, Attempts, PasswordRefused, Passwords
from .visit import SIGN_IN, Visit, page, safe_path

WELCOME = "/welcome"


def routes() -> list[BaseRoute]:
    return [
        Route(SIGN_IN, page(_show, public=True), methods=["GET"]),
        Route(SIGN_IN, page(_sign_in, public=True), methods=["POST"]),
        Route("/sign-out", page(_sign_out), methods=["POST"]),
        Route(WELCOME, page(_show_welcome, public=True), methods=["GET"]),
        Route(WELCOME, page(_choose, public=True), methods=["POST"]),
    ]


def _show(visit: Visit) -> Response:
    if visits.is_signed_in(visit.request):
        return visit.go(safe_path(visit.query("next")))
    return _sign_in_page(visit)


def _sign_in(visit: Visit) -> Response:
    passwords, attempts = _passwords(visit), _attempts(visit)
    address = visit.request.client.host if visit.request.client else ""
    if not attempts.may_try(address):
        sentence = "There were too many attempts to sign in; wait five minutes, then try again."
        return _sign_in_page(visit, 429, sentence)
    mark = passwords.mark()
    if mark is None or not passwords.is_right(visit.form.raw("password")):
        return _sign_in_page(visit, 403, "The password is not right.")
    attempts.succeeded(address)
    visits.sign_in(visit.request, mark)
    return visit.go(safe_path(visit.form.get("next")))


def _sign_in_page(visit: Visit, status: int = 200, problem: str | None = None) -> Response:
    following = safe_path(visit.form.get("next") or visit.query("next"))
    return visit.render(
        "sign_in.html",
        status,
        problem=problem,
        following=following,
        chosen=_passwords(visit).is_chosen,
    )


def _sign_out(visit: Visit) -> Response:
    visit.session.clear()
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
    visits.sign_in(visit.request, mark)
    return visit.go("/")


def _welcome_page(visit: Visit, status: int = 200, problem: str | None = None) -> Response:
    invitation = visit.form.get("invitation") or visit.query("invitation")
    return visit.render("welcome.html", status, problem=problem, invitation=invitation, shortest=SHORTEST)


def _passwords(visit: Visit) -> Passwords:
    passwords: Passwords = visit.request.app.state.passwords
    return passwords


def _attempts(visit: Visit) -> Attempts:
    attempts: Attempts = visit.request.app.state.attempts
    return attempts

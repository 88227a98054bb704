"""The account, and the user, that a credential belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .endpoints import CURRENT_USER
from .envelope import read_object
from .errors import NotPipedrive
from .session import Session


@dataclass(frozen=True)
class Account:
    """``company_id`` shows whether a token belongs to the right account; a user who is not an admin may not see every
    person."""

    company_id: int
    company_name: str
    company_domain: str
    user_id: int
    user_name: str
    is_admin: bool


def account(session: Session) -> Account:
    """Raises ``NotPipedrive`` if the host answers with anything but a Pipedrive user."""
    user = session.get(CURRENT_USER, read_object)
    company_id, user_id = user.get("company_id"), user.get("id")
    if type(company_id) is not int or type(user_id) is not int:
        raise NotPipedrive(
            f"GET {CURRENT_USER.path} was answered without a company or a user; check the API URL."
        )
    return Account(
        company_id=company_id,
        company_name=str(user.get("company_name") or ""),
        company_domain=str(user.get("company_domain") or ""),
        user_id=user_id,
        user_name=str(user.get("name") or ""),
        is_admin=_is_admin(user.get("access")),
    )


def _is_admin(access: Any) -> bool:
    return isinstance(access, list) and any(
        isinstance(entry, dict) and entry.get("app") == "global" and entry.get("admin") is True
        for entry in access
    )

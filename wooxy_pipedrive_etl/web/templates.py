"""The templates' environment: where they are, and how times and numbers are written."""

from __future__ import annotations

from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.templating import Jinja2Templates


def make_templates() -> Jinja2Templates:
    environment = Environment(
        loader=PackageLoader("wooxy_pipedrive_etl.web"),
        autoescape=True,
        # A slip in a template is an error of ours, not a hole in a page.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = moment
    environment.filters["number"] = number
    environment.filters["duration"] = duration
    environment.globals["csrf_field"] = csrf_field
    return Jinja2Templates(env=environment)


@pass_context
def csrf_field(context: Context) -> Markup:
    """What every form of ours carries."""
    return Markup('<input type="hidden" name="csrf" value="{}">').format(context["csrf"])


def moment(value: datetime | str | None) -> str:
    """A UTC time as people read it: 2026-11-25 17:30 UTC."""
    if value is None:
        return "never"
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.strftime("%Y-%m-%d %H:%M UTC")


def number(value: int | None) -> str:
    """12,345; nothing for None."""
    return "" if value is None else f"{value:,}"


def duration(seconds: float) -> str:
    """12 s; 3 min 5 s; 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

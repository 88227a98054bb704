"""The templates' environment: where they are, and what they may use."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.templating import Jinja2Templates

from .formats import age, duration, moment, number, share
from .words import plain


@cache
def make_templates() -> Jinja2Templates:
    """Shared by every app of a process, so that each template is compiled once."""
    environment = Environment(
        loader=PackageLoader("wooxy_pipedrive_etl.web"),
        autoescape=True,
        # A typo in a template raises an error instead of leaving a gap in the page.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = moment
    environment.filters["age"] = age
    environment.filters["number"] = number
    environment.filters["share"] = share
    environment.filters["duration"] = duration
    environment.globals["csrf_field"] = csrf_field
    environment.globals["plain"] = plain
    return Jinja2Templates(env=environment)


@pass_context
def csrf_field(context: Context) -> Markup:
    """Every form of ours contains it."""
    return Markup('<input type="hidden" name="csrf" value="{}">').format(context["csrf"])

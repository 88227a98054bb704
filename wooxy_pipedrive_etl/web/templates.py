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
    """The same for every app of a process, so that each template is compiled once."""
    environment = Environment(
        loader=PackageLoader("wooxy_pipedrive_etl.web"),
        autoescape=True,
        # A slip in a template is an error of ours, not a hole in a page.
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
    """What every form of ours carries."""
    return Markup('<input type="hidden" name="csrf" value="{}">').format(context["csrf"])

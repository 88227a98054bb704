"""The Default Contact List of a Wooxy domain: its table, which person owns which contact, and what a run writes.

Not here: Pipedrive's API (`pipedrive`) and the mapping of persons to contacts (`mapping`); this package receives mapped
contacts. A run calls begin_stage (if the existing stage does not fit), load_stage (batch by batch), make_plan,
apply_plan, drop_plan; a dry run omits apply_plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wooxy_pipedrive_etl.late import loaded_late

if TYPE_CHECKING:
    from .apply import AppliedCounts, apply_plan
    from .columns import BUILT_IN, Variable
    from .contact_list import ContactList
    from .drafted import drafted_view
    from .errors import ListError
    from .issues import plan_issues, plan_sample
    from .plan import PlanSummary, going_contacts, make_plan
    from .scratch import drop_plan
    from .stage import begin_stage, drop_stage, load_stage
    from .view import ListView
    from .work import ListSettings

__all__ = [
    "BUILT_IN",
    "AppliedCounts",
    "ContactList",
    "ListError",
    "ListSettings",
    "ListView",
    "PlanSummary",
    "Variable",
    "apply_plan",
    "begin_stage",
    "drafted_view",
    "drop_plan",
    "drop_stage",
    "going_contacts",
    "load_stage",
    "make_plan",
    "plan_issues",
    "plan_sample",
]

# The module of each name.
_MODULES = {
    "AppliedCounts": "apply",
    "apply_plan": "apply",
    "BUILT_IN": "columns",
    "Variable": "columns",
    "ContactList": "contact_list",
    "drafted_view": "drafted",
    "ListError": "errors",
    "plan_issues": "issues",
    "plan_sample": "issues",
    "PlanSummary": "plan",
    "going_contacts": "plan",
    "make_plan": "plan",
    "drop_plan": "scratch",
    "begin_stage": "stage",
    "drop_stage": "stage",
    "load_stage": "stage",
    "ListView": "view",
    "ListSettings": "work",
}

__getattr__ = loaded_late(__name__, _MODULES)

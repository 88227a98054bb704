"""The Default Contact List of a Wooxy domain: its table, who owns which contact, and what a run writes.

Knows nothing of Pipedrive: it is handed mapped contacts. A run goes begin_stage (where the stage that is there does not
fit), load_stage (batch by batch), make_plan, apply_plan, drop_plan; a dry run leaves out apply_plan.
"""

from .apply import AppliedCounts, apply_plan
from .columns import BUILT_IN, Variable
from .contact_list import ContactList
from .drafted import DraftedList
from .errors import ListError
from .issues import plan_issues, plan_sample
from .plan import ListSettings, PlanSummary, make_plan
from .stage import begin_stage, drop_plan, drop_stage, load_stage

__all__ = [
    "BUILT_IN",
    "AppliedCounts",
    "ContactList",
    "DraftedList",
    "ListError",
    "ListSettings",
    "PlanSummary",
    "Variable",
    "apply_plan",
    "begin_stage",
    "drop_plan",
    "drop_stage",
    "load_stage",
    "make_plan",
    "plan_issues",
    "plan_sample",
]

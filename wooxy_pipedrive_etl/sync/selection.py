"""Which of its seven products a run makes. What a selection means is decided here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from wooxy_pipedrive_etl.store.runs import Kind as Kind

Product = Literal[
    "person_fields",
    "pipedrive_persons",
    "referenced_names",
    "variable_matches",
    "mapped_contacts",
    "contact_plan",
    "default_contact_list",
]
PRODUCTS: tuple[Product, ...] = get_args(Product)


@dataclass(frozen=True)
class Selection:
    """`products`: what a run makes; for whatever else it needs, the stored data is used.

    `only_changes`: only the persons that changed since the last run are read.
    """

    products: frozenset[Product]
    only_changes: bool = False

    @classmethod
    def of(cls, kind: Kind, *, dry_run: bool = False) -> Selection:
        """Everything that a run of this kind makes; a dry run stops before the list."""
        left_out: set[Product] = set()
        if kind == "re-map":
            left_out.add("pipedrive_persons")
        if dry_run:
            left_out.add("default_contact_list")
        return cls(frozenset(PRODUCTS) - left_out, only_changes=kind == "changes")

    def __contains__(self, product: Product) -> bool:
        return product in self.products

    @property
    def kind(self) -> Kind:
        if "pipedrive_persons" not in self:
            return "re-map"
        return "changes" if self.only_changes else "full"

    @property
    def writes(self) -> bool:
        """Whether the list is brought up to date. Nothing else touches it."""
        return "default_contact_list" in self

    @property
    def plans(self) -> bool:
        """Whether a plan is made and checked. The list is never written without one; a plan alone is a dry run."""
        return self.writes or "contact_plan" in self

    @property
    def maps(self) -> bool:
        return self.plans or "mapped_contacts" in self

    @property
    def is_dry_run(self) -> bool:
        return self.plans and not self.writes

    @property
    def names(self) -> tuple[Product, ...]:
        """The products in the order in which they are made."""
        return tuple(product for product in PRODUCTS if product in self)


FULL = Selection.of("full")


def products_of(names: Iterable[str]) -> frozenset[Product]:
    """The products among these names."""
    wanted = set(names)
    return frozenset(product for product in PRODUCTS if product in wanted)

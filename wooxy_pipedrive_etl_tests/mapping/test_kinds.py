"""The table of kinds contradicts neither itself nor what the store keeps by kind."""

from __future__ import annotations

from wooxy_pipedrive_etl.mapping.kinds import KINDS
from wooxy_pipedrive_etl.store.tables import NAMED_KINDS


def test_a_field_has_one_kind() -> None:
    types = [field_type for kind in KINDS.values() for field_type in kind.types]
    system = [field for kind in KINDS.values() for field in kind.system_fields]
    names = [name for field in system for name in (field.name, *field.spellings)]
    assert len(set(types)) == len(types)
    assert len(set(names)) == len(names)


def test_only_object_parts_name_their_member() -> None:
    for kind in KINDS.values():
        members = [part.member for part in kind.parts]
        if kind.shape == "object":
            assert members[0] == "value"
            assert all(members)
        else:
            assert not any(members)
        assert len({part.name for part in kind.parts}) == len(kind.parts)


def test_the_store_names_every_reference_kind() -> None:
    assert {kind.name for kind in KINDS.values() if kind.is_reference} == set(NAMED_KINDS)

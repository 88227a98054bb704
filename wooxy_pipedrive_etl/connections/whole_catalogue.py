"""Whether a field catalogue can be complete: an empty or partial answer must not turn rows red."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wooxy_pipedrive_etl.errors import BrokenCatalogue
from wooxy_pipedrive_etl.mapping.kinds import record_name
from wooxy_pipedrive_etl.person_fields import PersonField
from wooxy_pipedrive_etl.pipedrive import FieldCatalogue, PipedriveClient

# If more fields than both limits are missing, the answer is more likely incomplete, or the user sees less, than that
# people deleted them. People delete a few fields between two readings, and an account has about forty system fields
# that nobody can delete.
LOST_FIELDS_SHARE = 0.20
LOST_FIELDS_COUNT = 5


def read_whole_catalogue(
    client: PipedriveClient, known: Sequence[PersonField] | None, *, allow_lost_fields: bool = False
) -> list[PersonField]:
    """The fields of the catalogue, read a second time if the first reading can't be complete.

    `known`: the fields present before (None: no catalogue was read yet). `allow_lost_fields`: a user confirms that
    fields were deleted; the name must be there all the same. Raises BrokenCatalogue if the second reading is no better,
    and ApiError.
    """
    before = set() if known is None else _record_names(known)
    read = client.person_fields()
    if _problem(read, before) is not None:
        read = client.person_fields()
        problem = _problem(read, before)
        has_name = "name" in _record_names(read.fields)
        if problem is not None and not (allow_lost_fields and has_name):
            raise BrokenCatalogue(problem, "lost_fields" if has_name else None)
    return read.fields


def _problem(read: FieldCatalogue, before: set[str]) -> str | None:
    """Why the catalogue can't be used, in a sentence, or None."""
    present = _record_names(read.fields)
    if "name" not in present:
        return (
            "Pipedrive's field catalogue came without the name, which every account has; it was not used. "
            "Check that the token's user may see all person fields, then run again."
        )
    lost = len(before - present)
    what_to_do = (
        "so it was not used and nothing was changed. See whether the token's user still sees all fields."
    )
    if lost and read.odd:
        # Any of these entries may be one of the missing fields.
        return (
            f"Pipedrive's field catalogue had entries that can't be read ({read.odd}) and lacks {lost} of the "
            f"{len(before)} known fields, {what_to_do}"
        )
    if lost > LOST_FIELDS_COUNT and lost > LOST_FIELDS_SHARE * len(before):
        return f"Pipedrive's field catalogue lacks {lost} of the {len(before)} known fields, {what_to_do}"
    return None


def _record_names(fields: Iterable[PersonField]) -> set[str]:
    """The same field in another of Pipedrive's spellings is not lost."""
    return {record_name(field.field_code) for field in fields}

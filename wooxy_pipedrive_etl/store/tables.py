"""All tables of the program's own state. Migrations create them; a test checks that both agree.

All names begin with `sync_`, because the database may contain other tables. The Default Contact Lists are not here:
their columns belong to the user, and `contact_list` handles them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

# SQLite numbers rows automatically only for a column of exactly this type.
_serial = BigInteger().with_variant(Integer, "sqlite")


def _connection_key() -> Column[int]:
    return Column(
        "connection_id",
        _serial,
        ForeignKey("sync_connections.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )


# What persons refer to by id and pages show by name.
NAMED_KINDS = ("org", "user", "person")

# A Wooxy domain, and where its Default Contact List is. It outlives the connection, as the list does.
domains = Table(
    "sync_domains",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    Column("list_schema", Text),
    Column("list_table", Text, nullable=False),
)

# The custom variables that the sync created in a list: it may rename only these.
created_variables = Table(
    "sync_created_variables",
    metadata,
    Column("domain_id", _serial, ForeignKey("sync_domains.id"), primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
)

connections = Table(
    "sync_connections",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    # One connection per domain: two would see each other's contacts.
    Column("domain_id", _serial, ForeignKey("sync_domains.id"), nullable=False, unique=True),
    Column("state", Text, nullable=False),  # draft, active, disconnected
    Column("paused", Boolean, nullable=False, server_default=false()),  # a user paused automatic runs
    Column("api_url", Text, nullable=False),
    Column("company_id", BigInteger, nullable=False),
    Column("default_region", Text),  # ISO 3166-1 alpha-2, or null
    Column("consent", Text, nullable=False),  # respect, require, ignore
    Column("on_delete", Text, nullable=False),  # delete, deactivate, keep
    Column("created_at", DateTime, nullable=False),
)

# How a connection authenticates to Pipedrive; one row per connection.
credentials = Table(
    "sync_credentials",
    metadata,
    _connection_key(),
    Column("encrypted_api_token", Text, nullable=False),  # empty if OAuth is used
    # From OAuth: a JSON object {access_token, refresh_token}, encrypted; when the access token expires (UTC); the
    # granted scopes, comma-separated; and who granted them. All null if an API token is used.
    Column("encrypted_oauth_tokens", Text),
    Column("oauth_expires_at", DateTime),
    Column("oauth_scopes", Text),
    Column("oauth_user_id", BigInteger),
    # Why access was lost, until a user reconnects: revoked, uninstalled.
    Column("access_lost", Text),
)

# The webhook registered in Pipedrive: its id there, the URL it sends to, and its Basic password; one row per
# connection. If a URL has no id, the next full run registers it again.
webhooks = Table(
    "sync_webhooks",
    metadata,
    _connection_key(),
    Column("webhook_id", BigInteger),
    Column("url", Text),
    Column("encrypted_password", Text),
)

# How far a connection is synced; one row per connection. Times by Pipedrive's clock are epoch microseconds.
states = Table(
    "sync_states",
    metadata,
    _connection_key(),
    # The newest update_time that a committed run has seen.
    Column("watermark", BigInteger),
    # The time up to which the names of organisations are known.
    Column("names_watermark", BigInteger),
    # Optional fields that Pipedrive rejected in the last walk, comma-separated: the snapshot does not have them.
    Column("left_out_fields", Text),
    # Whether the last complete walk found persons without an update_time, which `updated_since` may miss.
    Column("null_update_times", Boolean),
    # The matching that the list was last mapped with. If another revision is confirmed, a re-map is due.
    Column("applied_revision", Integer),
    # What the stage was mapped with (a hash). A stage that was mapped with anything else is rebuilt.
    Column("mapped_with", Text),
    # The snapshot may be ahead of the list: something was stored that no run has applied yet.
    Column("unapplied", Boolean, nullable=False, server_default=false()),
    # When the last complete sequential walk began, and when a windowed walk last proved impossible.
    Column("plain_walk_began", BigInteger),
    Column("windows_refused_at", BigInteger),
)

# When the sensors last polled persons and fields (UTC); one row per connection.
polls = Table(
    "sync_polls",
    metadata,
    _connection_key(),
    Column("persons_at", DateTime),
    Column("fields_at", DateTime),
)

# A run that a user requested and that has not begun: a JSON object.
run_requests = Table(
    "sync_run_requests",
    metadata,
    _connection_key(),
    Column("request", Text, nullable=False),
)

# The daily token budget of a Pipedrive company, as last reported by response headers.
budgets = Table(
    "sync_budgets",
    metadata,
    Column("company_id", BigInteger, primary_key=True, autoincrement=False),
    Column("daily_limit", BigInteger),
    Column("daily_left", BigInteger, nullable=False),
    Column("noted_at", DateTime),  # UTC
)

# Accounts that have granted access but whose domain is not chosen yet; credentials as in `sync_credentials`.
installations = Table(
    "sync_installations",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("api_url", Text, nullable=False),
    Column("company_id", BigInteger, nullable=False),
    Column("company_name", Text, nullable=False),
    Column("company_domain", Text, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("encrypted_api_token", Text, nullable=False),  # empty if OAuth is used
    Column("encrypted_oauth_tokens", Text),
    Column("oauth_expires_at", DateTime),
    Column("oauth_scopes", Text),
    Column("created_at", DateTime, nullable=False),
)

# The program's own settings, such as the hash of the administrator's password.
settings = Table(
    "sync_settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# Who is signed in to the pages; see `sessions.py`.
sessions = Table(
    "sync_sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("mark", Text, nullable=False),
    Column("expires_at", DateTime, nullable=False),  # UTC
)

# Each change of a matching is a new revision. The newest confirmed one is in force; a newer one is a draft.
matchings = Table(
    "sync_matchings",
    metadata,
    _connection_key(),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("ignore_empty_values", Boolean, nullable=False),
    Column("variables", Text, nullable=False),  # JSON: [{pipedrive, label, wooxy, format, field_type}]
    Column("confirmed_at", DateTime),
)

# The field catalogue as last read, including removed fields: their labels are still needed for old values.
fields = Table(
    "sync_fields",
    metadata,
    _connection_key(),
    Column("field_code", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("field_name", Text, nullable=False),
    Column("field_type", Text, nullable=False),
    Column("is_custom_field", Boolean, nullable=False),
    Column("is_optional_response_field", Boolean, nullable=False),
    Column("options", Text),  # JSON: [{id, label, gone?}] in the field's own order
    Column("gone", Boolean, nullable=False),
)

# What changed in the catalogue between two reads.
schema_changes = Table(
    "sync_schema_changes",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column(
        "connection_id",
        _serial,
        ForeignKey("sync_connections.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("recorded_at", DateTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("field_code", Text, nullable=False),
    Column("message", Text, nullable=False),
)

# The last known state of every live person, raw, as Pipedrive sent it.
snapshot = Table(
    "sync_snapshot",
    metadata,
    _connection_key(),
    Column("person_id", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),  # epoch microseconds of update_time, else add_time, else 0
    Column("raw", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),  # hash of `raw`: equal ones mean equal texts
    # Deleted: a complete walk and a second lookup did not find the person. Removed with the contact when the plan is
    # applied.
    Column("gone", Boolean, nullable=False, server_default=false()),
)

# A full walk that is in progress or was interrupted: when it began by Pipedrive's clock (epoch microseconds), and the
# optional fields that it requests, comma-separated.
walks = Table(
    "sync_walks",
    metadata,
    _connection_key(),
    Column("began", BigInteger, nullable=False),
    Column("fields", Text, nullable=False),
)

# The pages read so far: the next run resumes after the last one.
walk_pages = Table(
    "sync_walk_pages",
    metadata,
    _connection_key(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("next_cursor", Text),  # null: that was the last page, or this is a windowed walk
    Column("person_ids", LargeBinary, nullable=False),  # int64, little-endian
    # For a windowed walk: the spans of update_time still to be read, as a JSON list of [start, end] in epoch seconds;
    # null for an open bound.
    Column("unread", Text),
)

# Which names the staged persons refer to, and which of their values were dropped in mapping: what a run that maps a few
# persons needs to know about all others. No foreign key, since it would be checked row by row; unlogged on PostgreSQL,
# like the stage.
references = Table(
    "sync_references",
    metadata,
    Column("connection_id", _serial, primary_key=True, autoincrement=False),
    Column("person_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),  # one of NAMED_KINDS
    Column("entity_id", BigInteger, primary_key=True, autoincrement=False),
)
mapping_issues = Table(
    "sync_mapping_issues",
    metadata,
    Column("connection_id", _serial, nullable=False),
    Column("person_id", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("variable", Text),
    Column("message", Text, nullable=False),
    Index("ix_sync_mapping_issues_connection_id_person_id", "connection_id", "person_id"),
)

# Names of organisations, users and persons that persons refer to.
names = Table(
    "sync_names",
    metadata,
    _connection_key(),
    Column("kind", Text, primary_key=True),  # one of NAMED_KINDS
    Column("entity_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
)

# Which contact a person owns. `adopted`: the contact was in the list before. `phone_filled`: its channels have had
# their one automatic subscription. `deactivated`: `on_delete` deactivated it; it is reactivated if the person returns.
links = Table(
    "sync_links",
    metadata,
    _connection_key(),
    Column("person_id", BigInteger, primary_key=True, autoincrement=False),
    Column("contact_id", BigInteger, nullable=False),
    Column("adopted", Boolean, nullable=False),
    Column("phone_filled", Boolean, nullable=False),
    Column("deactivated", Boolean, nullable=False),
    UniqueConstraint("connection_id", "contact_id"),
)

# The keys accepted here, by their fingerprints; see `keys.py`.
keys = Table(
    "sync_keys",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("fingerprint", Text, nullable=False, unique=True),
)

# Opted-out channels of a domain, by keyed hash of the phone number. They outlive the connection, as the list does.
opt_outs = Table(
    "sync_opt_outs",
    metadata,
    Column("domain_id", _serial, ForeignKey("sync_domains.id"), primary_key=True, autoincrement=False),
    Column("phone_hash", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    # The key of the hash; null if an earlier version created it and its key is still unproven.
    Column("key_id", _serial, ForeignKey("sync_keys.id")),
)

# All that remains of a deleted person.
tombstones = Table(
    "sync_tombstones",
    metadata,
    _connection_key(),
    Column("person_id", BigInteger, primary_key=True, autoincrement=False),
    Column("deleted_at", DateTime, nullable=False),
)

# What was not written, and why, as of the last run.
issues = Table(
    "sync_issues",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("connection_id", _serial, ForeignKey("sync_connections.id", ondelete="CASCADE"), nullable=False),
    Column("person_id", BigInteger),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("variable", Text),
    Column("message", Text, nullable=False),
    # For a duplicate: the person that owns the contact.
    Column("owner_id", BigInteger),
    # Found by a run that is not applied yet.
    Column("pending", Boolean, nullable=False),
    Column("found_at", DateTime, nullable=False),
    Index("ix_sync_issues_connection_id_person_id", "connection_id", "person_id"),
)

# One row per run: what it was, what it did, what it cost.
runs = Table(
    "sync_runs",
    metadata,
    _connection_key(),
    Column("run_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),  # changes, full, re-map
    Column("state", Text, nullable=False),  # started, success, partial, dry_run, failed
    # The products that it was to make (see `sync.selection`), space-separated, and whether it started automatically.
    Column("selected", Text, nullable=False, server_default=text("''")),
    Column("automatic", Boolean, nullable=False, server_default=false()),
    Column("started_at", DateTime, nullable=False),
    Column("finished_at", DateTime),
    Column("fetched", BigInteger, nullable=False, default=0),
    Column("created", BigInteger, nullable=False, default=0),
    Column("updated", BigInteger, nullable=False, default=0),
    Column("unchanged", BigInteger, nullable=False, default=0),
    Column("deleted", BigInteger, nullable=False, default=0),
    Column("rejected", BigInteger, nullable=False, default=0),
    Column("duplicates", BigInteger, nullable=False, default=0),
    Column("conflicts", BigInteger, nullable=False, default=0),
    Column("dropped_values", BigInteger, nullable=False, default=0),
    Column("tokens_used", BigInteger, nullable=False, default=0),
    Column("requests", BigInteger, nullable=False, default=0),
    Column("message", Text),
    # What the run was expected to cost, and what was left of the day's budget when it ended.
    Column("estimated_tokens", BigInteger),
    Column("tokens_left", BigInteger),
    # For a dry run: which matching and settings it used (see `matching.view.dry_run_version`).
    Column("matching_version", Text),
    # For a failed run: the kind of failure (see `failures.failure_code`), and which guard refused it.
    Column("failure", Text),
    Column("refused_by", Text),  # mass_delete, lost_fields, reserve
)

# The contacts that the last refused or dry run would have deleted or deactivated, and those of an earlier run whose
# deletions a user may be about to allow.
planned_deletions = Table(
    "sync_planned_deletions",
    metadata,
    _connection_key(),
    Column("run_id", Text, primary_key=True),
    Column("contact_id", BigInteger, primary_key=True, autoincrement=False),
)

# What runs did to a contact, without its values. No foreign key, since it would be checked row by row.
contact_history = Table(
    "sync_contact_history",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("connection_id", _serial, nullable=False),
    Column("contact_id", BigInteger, nullable=False),
    Column("at", DateTime, nullable=False),  # UTC
    Column("run_id", Text, nullable=False),
    Column("action", Text, nullable=False),  # see `store.contact_history`
    Column("person_id", BigInteger),
    Column("variables", Text),  # names of the changed variables, comma-separated
    Index("ix_sync_contact_history_connection_id_contact_id", "connection_id", "contact_id"),
    # Every run begins by deleting old rows, which must not require reading all others.
    Index("ix_sync_contact_history_at", "at"),
)

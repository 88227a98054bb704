"""A Pipedrive account on this machine, served over HTTP, as strict and as odd as the real one."""

from .account import Account, Organization, User
from .behaviours import Behaviours, Limits
from .deliveries import DeliveryRecord
from .errors import InvalidValueError, PortTakenError, SandboxError, UnknownRecordError
from .fault_mix import MIXED_KINDS, FaultMix
from .faults import FAULT_KINDS, Fault, FaultKind, Faults
from .gateway import RequestRecord
from .generated import large_account
from .json_text import RawJson
from .oauth import SCOPES, OAuth, OAuthApp
from .odd import ODD_PERSONS, add_odd_persons
from .seeding import seeded_account
from .server import DEFAULT_PORT, SandboxServer, run_sandbox
from .webhooks import Webhooks

__all__ = [
    "DEFAULT_PORT",
    "FAULT_KINDS",
    "MIXED_KINDS",
    "ODD_PERSONS",
    "SCOPES",
    "Account",
    "Behaviours",
    "DeliveryRecord",
    "Fault",
    "FaultKind",
    "FaultMix",
    "Faults",
    "InvalidValueError",
    "Limits",
    "OAuth",
    "OAuthApp",
    "Organization",
    "PortTakenError",
    "RawJson",
    "RequestRecord",
    "SandboxError",
    "SandboxServer",
    "UnknownRecordError",
    "User",
    "Webhooks",
    "add_odd_persons",
    "large_account",
    "run_sandbox",
    "seeded_account",
]

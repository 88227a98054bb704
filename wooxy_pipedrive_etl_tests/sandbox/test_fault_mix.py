"""Faults at a rate, as a client calling repeatedly meets them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import (
    MIXED_KINDS,
    Account,
    Fault,
    FaultMix,
    InvalidValueError,
    Limits,
    seeded_account,
)
from wooxy_pipedrive_etl.sandbox.pipedrive.faults import FaultKind
from wooxy_pipedrive_etl_tests.patience import running, wait_for_end

from .served import Served

Serve = Callable[..., Served]
LIST = "/api/v2/persons"
ME = "/api/v1/users/me"
NO_LIMITS = Limits(daily_tokens=None, burst_per_2s=100_000)


def outcome(served: Served, path: str) -> str:
    """What a client sees of one call."""
    try:
        response = served.call("GET", path)
    except httpx.TransportError as error:
        return type(error).__name__
    content = "HTML" if response.headers["content-type"].startswith("text/html") else response.text[-3:]
    return f"{response.status_code} {content} {response.headers.get('retry-after')}"


def struck_by(served: Served, mix: FaultMix, calls: int, path: str = LIST) -> list[str]:
    served.server.fault_mix = mix
    return [outcome(served, path) for _ in range(calls)]


def test_the_same_seed_brings_the_same_faults(serve: Serve) -> None:
    quick: tuple[FaultKind, ...] = ("status", "reset", "truncated_json", "rate_429")
    outcomes = []
    for seed in (7, 7, 8):
        account = Account()
        account.create_person(name="A")
        served = serve(account, limits=NO_LIMITS)
        outcomes.append(struck_by(served, FaultMix(0.5, quick, seed), 40))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] != outcomes[2]
    assert struck_by(served, FaultMix(0.5, quick, 7), 40) == outcomes[0]


def test_faults_of_every_kind_come_at_their_rate(serve: Serve) -> None:
    served = serve(seeded_account(5), limits=NO_LIMITS)
    kinds: tuple[FaultKind, ...] = tuple(kind for kind in MIXED_KINDS if kind != "timeout")
    seen = struck_by(served, FaultMix(0.2, kinds), 600)
    struck = served.server.mixed_faults_struck
    assert 90 < sum(struck.values()) < 150
    assert {name.split()[0] for name in struck} == set(kinds)
    assert {name for name in struck if name.startswith("status")} == {
        f"status {status}" for status in (500, 502, 503, 504, 524)
    }
    statuses = Counter(record.status for record in served.server.requests)
    assert statuses[429] == struck["rate_429"] + struck["rate_429 without headers"]
    assert statuses[403] == struck["html_403"]
    assert statuses[0] == struck["reset"] == seen.count("RemoteProtocolError")
    # With headers, and without.
    assert seen.count("429 29} 1") == struck["rate_429"] > 0
    assert seen.count("429 29} None") == struck["rate_429 without headers"] > 0


def test_a_time_out_is_short(serve: Serve) -> None:
    served = serve()
    served.server.fault_mix = FaultMix(1, ("timeout",))
    assert served.get(LIST).status_code == 504


def test_rows_are_duplicated_and_edited_only_in_lists(serve: Serve, account: Account) -> None:
    for _ in range(3):
        account.create_person(name="A")
    served = serve(account)
    served.server.fault_mix = FaultMix(1, ("duplicated_rows",))
    assert [row["id"] for row in served.persons()] == [1, 1, 2, 3]
    served.server.fault_mix = FaultMix(1, ("on_page",))
    assert [row["name"][:6] for row in served.persons() if row["name"] != "A"] == ["Edited"]
    before = served.server.mixed_faults_struck
    assert served.get(ME).status_code == 200
    assert served.server.mixed_faults_struck == before == {"on_page": 1}


def test_the_mix_strikes_the_api_after_explicit_faults(serve: Serve) -> None:
    served = serve()
    served.server.fault_mix = FaultMix(1, ("html_403",))
    served.server.faults.add(Fault("status", path_prefix="/", times=2))
    assert [served.get(path).status_code for path in (LIST, "/oauth/authorize")] == [500, 500]
    assert served.get(LIST).status_code == 403
    assert served.get("/oauth/authorize").status_code != 403
    assert served.control("GET", "/state").status_code == 200
    assert served.server.mixed_faults_struck == {"html_403": 1}


def test_the_controls_set_show_and_end_a_mix(serve: Serve) -> None:
    served = serve()
    set_to = served.control("PUT", "/fault-mix", rate=1, kinds=["status"], seed=3).json()
    assert set_to == {"mix": {"rate": 1, "kinds": ["status"], "seed": 3}, "struck": {}}
    assert served.get(LIST).status_code >= 500
    assert sum(served.control("GET", "/fault-mix").json()["struck"].values()) == 1
    assert served.control("DELETE", "/fault-mix").json() == {"mix": None, "struck": {}}
    assert served.get(LIST).status_code == 200
    assert served.control("PUT", "/fault-mix", rate=0.5).json()["mix"]["kinds"] == list(MIXED_KINDS)
    served.server.reset()
    assert served.server.fault_mix is None


@pytest.mark.parametrize("body", [{}, {"rate": 2}, {"rate": -1}, {"rate": 1, "kinds": ["nonsense"]}])
def test_an_invalid_mix_is_refused_with_an_explanation(serve: Serve, body: dict[str, object]) -> None:
    served = serve()
    response = served.control("PUT", "/fault-mix", **body)
    assert (response.status_code, served.server.fault_mix) == (400, None)
    assert response.json()["error"].endswith(".")


def test_an_empty_mix_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="needs a kind of fault"):
        FaultMix(0.5, ())


def test_the_command_line_sets_a_mix(http: httpx.Client) -> None:
    program = Path(sys.executable).parent / "wooxy-pipedrive"
    options = ["--port", "0", "--persons", "1", "--fault-rate", "0.05", "--fault-seed", "7"]
    with running([program, "sandbox", *options], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = process.stdout.readline() + process.stdout.readline()
        url = next(word for word in told.replace(";", " ").split() if word.startswith("http://"))
        mix = http.get(f"{url}/sandbox/fault-mix").json()["mix"]
        process.send_signal(signal.SIGTERM)
        wait_for_end(process)
    assert (mix["rate"], mix["seed"]) == (0.05, 7)

"""Sends the requests that Dagster's UI sends to its webserver: launch, backfill, re-execute, terminate, look."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import httpx

from .services import PATIENCE, Services

_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
_BACKFILL_ENDED = {"COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED"}

_REFUSALS = """
  __typename
  ... on PythonError { message }
  ... on PipelineNotFoundError { message }
  ... on RunConfigValidationInvalid { errors { message } }
"""
_LAUNCH = (
    "mutation LaunchPipelineExecution($executionParams: ExecutionParams!) {"
    " launchPipelineExecution(executionParams: $executionParams) {"
    f" ... on LaunchRunSuccess {{ run {{ id }} }} ... on InvalidSubsetError {{ message }} {_REFUSALS} }} }}"
)
_REEXECUTE = (
    "mutation LaunchPipelineReexecution($reexecutionParams: ReexecutionParams) {"
    " launchPipelineReexecution(reexecutionParams: $reexecutionParams) {"
    f" ... on LaunchRunSuccess {{ run {{ id }} }} ... on InvalidSubsetError {{ message }} {_REFUSALS} }} }}"
)
_BACKFILL = (
    "mutation LaunchPartitionBackfill($backfillParams: LaunchBackfillParams!) {"
    " launchPartitionBackfill(backfillParams: $backfillParams) {"
    f" ... on LaunchBackfillSuccess {{ backfillId }} ... on PartitionKeysNotFoundError {{ message }} {_REFUSALS} }} }}"
)
_TERMINATE = """
mutation Terminate($runIds: [String!]!, $terminatePolicy: TerminateRunPolicy) {
  terminateRuns(runIds: $runIds, terminatePolicy: $terminatePolicy) {
    __typename
    ... on PythonError { message }
    ... on TerminateRunsResult {
      terminateRunResults {
        __typename
        ... on RunNotFoundError { message }
        ... on TerminateRunFailure { message }
        ... on PythonError { message }
      }
    }
  }
}
"""
_RUN = """
query Run($runId: ID!) {
  runOrError(runId: $runId) {
    __typename
    ... on Run {
      runId
      status
      jobName
      parentRunId
      tags { key value }
      eventConnection(limit: 1000) {
        events {
          __typename
          ... on MessageEvent { message }
          ... on MaterializationEvent { assetKey { path } partition metadataEntries { label ...Number } }
          ... on AssetCheckEvaluationEvent { evaluation { checkName success assetKey { path } } }
          ... on ExecutionStepFailureEvent { error { message className cause { message className } } }
          ... on RunFailureEvent { error { message } }
        }
      }
    }
  }
}
fragment Number on IntMetadataEntry { intValue }
"""
_RUNS = """
query Runs($filter: RunsFilter!, $limit: Int!) {
  runsOrError(filter: $filter, limit: $limit) {
    __typename
    ... on Runs { results { runId status jobName tags { key value } } }
    ... on PythonError { message }
  }
}
"""
_BACKFILL_STATE = """
query Backfill($backfillId: String!) {
  partitionBackfillOrError(backfillId: $backfillId) {
    __typename
    ... on PartitionBackfill { status error { message } }
    ... on BackfillNotFoundError { message }
    ... on PythonError { message }
  }
}
"""
_PARTITIONS = """
query Partitions($assetKey: AssetKeyInput!) {
  assetNodeOrError(assetKey: $assetKey) { ... on AssetNode { partitionKeys } }
}
"""
_LOCATIONS = """
query Locations {
  workspaceOrError {
    ... on Workspace {
      locationEntries {
        name
        locationOrLoadError {
          __typename
          ... on PythonError { message }
          ... on RepositoryLocation {
            repositories {
              assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks { name } } } }
            }
          }
        }
      }
    }
  }
}
"""


class LaunchRefused(Exception):
    """The webserver did not launch it, and says why."""


@dataclass(frozen=True)
class Run:
    """A finished run, as the UI shows it. `materialized`: the keys, with slashes; `checks`: passed or not, by name;
    `said`: the failure messages; `numbers`: the numbers in the materializations' metadata, by key."""

    run_id: str
    status: str
    job: str
    tags: Mapping[str, str]
    materialized: frozenset[str]
    checks: Mapping[str, bool]
    said: str
    numbers: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Backfill:
    """A finished backfill. `runs` and `run_ids`: the status and id of each partition's last run; `count`: how many runs
    it had."""

    backfill_id: str
    status: str
    error: str | None
    runs: Mapping[str, str]
    run_ids: Mapping[str, str]
    count: int


class DagsterUI:
    """A user of the webserver; a context manager. Every wait has a generous deadline and fails with an AssertionError
    and the services' logs."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._client = httpx.Client(base_url=services.url, timeout=120, trust_env=False)
        self._assets: dict[str, dict[tuple[str, ...], list[str]]] = {}

    def __enter__(self) -> DagsterUI:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    # What exists

    def wait_for_code(self, locations: Sequence[str]) -> None:
        """Waits until every code location is loaded. Raises AssertionError with Dagster's message if one fails."""

        def is_loaded() -> bool:
            found = {}
            for entry in self._ask(_LOCATIONS, {})["workspaceOrError"]["locationEntries"]:
                loaded = entry["locationOrLoadError"]
                if loaded is None:
                    continue
                assert loaded["__typename"] == "RepositoryLocation", loaded["message"]
                found[entry["name"]] = {
                    tuple(node["assetKey"]["path"]): [
                        check["name"] for check in node["assetChecksOrError"].get("checks", [])
                    ]
                    for repository in loaded["repositories"]
                    for node in repository["assetNodes"]
                }
            self._assets = found
            return set(locations) <= found.keys()

        self._services.wait_until(is_loaded, f"The code of {', '.join(locations)} is not loaded")

    # What a user presses

    def materialize(
        self,
        location: str,
        keys: Sequence[Sequence[str]],
        partition: str | None,
        *,
        run_config: object = "{}",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """*Materialize* on these assets with their checks, for one partition; returns the run's id.

        Raises LaunchRefused.
        """
        chosen = {"dagster/from_ui": "true", **(tags or {})}
        if partition is not None:
            chosen["dagster/partition"] = partition
        selector = {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": list(key)} for key in keys],
            "assetCheckSelection": [
                {"assetKey": {"path": list(key)}, "name": check}
                for key in keys
                for check in self._assets[location].get(tuple(key), [])
            ],
        }
        return self._launch(
            _LAUNCH,
            "launchPipelineExecution",
            {
                "executionParams": {
                    "mode": "default",
                    "executionMetadata": {"tags": _tags(chosen)},
                    "runConfigData": run_config if isinstance(run_config, str) else json.dumps(run_config),
                    "selector": selector,
                }
            },
        )

    def backfill(self, keys: Sequence[Sequence[str]], partitions: Sequence[str]) -> str:
        """*Launch backfill*; returns its id. Raises LaunchRefused."""
        parameters = {
            "tags": _tags({"dagster/from_ui": "true"}),
            "assetSelection": [{"path": list(key)} for key in keys],
            "partitionNames": list(partitions),
            "fromFailure": False,
        }
        return self._launch(_BACKFILL, "launchPartitionBackfill", {"backfillParams": parameters})

    def reexecute(self, run_id: str, strategy: Literal["ALL_STEPS", "FROM_FAILURE"]) -> str:
        """*Re-execute*; returns the new run's id. Raises LaunchRefused."""
        parameters = {"parentRunId": run_id, "strategy": strategy}
        return self._launch(_REEXECUTE, "launchPipelineReexecution", {"reexecutionParams": parameters})

    def terminate(self, run_id: str) -> None:
        variables = {"runIds": [run_id], "terminatePolicy": "SAFE_TERMINATE"}
        answer = self._ask(_TERMINATE, variables)["terminateRuns"]
        (result,) = answer["terminateRunResults"]
        assert result["__typename"] == "TerminateRunSuccess", result

    # What a user sees

    def ended(self, run_id: str, seconds: float = PATIENCE) -> Run:
        """Waits for the run to end."""
        shown: dict[str, Any] = {}

        def has_ended() -> bool:
            shown.update(self._ask(_RUN, {"runId": run_id})["runOrError"])
            return shown["status"] in _ENDED

        self._services.wait_until(has_ended, f"The run {run_id} has not ended", seconds)
        return _run(shown)

    def backfill_ended(self, backfill_id: str, seconds: float = PATIENCE) -> Backfill:
        """Waits for the backfill and its runs to end."""
        shown: dict[str, Any] = {}

        def has_ended() -> bool:
            answer = self._ask(_BACKFILL_STATE, {"backfillId": backfill_id})
            shown.update(answer["partitionBackfillOrError"])
            return shown["status"] in _BACKFILL_ENDED

        self._services.wait_until(has_ended, f"The backfill {backfill_id} has not ended", seconds)
        runs = self._runs({"tags": [{"key": "dagster/backfill", "value": backfill_id}]})
        # Newest first: for a partition with several runs, the latest stays.
        by_partition = {_tag(run, "dagster/partition"): run for run in reversed(runs)}
        return Backfill(
            backfill_id,
            shown["status"],
            None if shown["error"] is None else shown["error"]["message"],
            {name: run["status"] for name, run in by_partition.items()},
            {name: run["runId"] for name, run in by_partition.items()},
            len(runs),
        )

    def partitions(self, key: Sequence[str]) -> list[str]:
        """An asset's partitions."""
        node = self._ask(_PARTITIONS, {"assetKey": {"path": list(key)}})["assetNodeOrError"]
        return list(node["partitionKeys"])

    def under_way(self, partition: str) -> list[str]:
        """The ids of the partition's queued or running runs."""
        tags = [{"key": "dagster/partition", "value": partition}]
        return [run["runId"] for run in self._runs({"tags": tags}) if run["status"] not in _ENDED]

    def run_ids(self, partition: str) -> list[str]:
        """The ids of all runs of the partition, newest first."""
        tags = [{"key": "dagster/partition", "value": partition}]
        return [run["runId"] for run in self._runs({"tags": tags})]

    def _runs(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = self._ask(_RUNS, {"filter": wanted, "limit": 200})["runsOrError"]
        assert answer["__typename"] == "Runs", answer
        found: list[dict[str, Any]] = answer["results"]
        return found

    def _launch(self, mutation: str, name: str, variables: Mapping[str, Any]) -> str:
        answer = self._ask(mutation, variables)[name]
        if answer["__typename"] == "LaunchRunSuccess":
            return str(answer["run"]["id"])
        if answer["__typename"] == "LaunchBackfillSuccess":
            return str(answer["backfillId"])
        errors = [error["message"] for error in answer.get("errors", [])] or [answer.get("message", "")]
        raise LaunchRefused(f"{answer['__typename']}: {' '.join(errors)}")

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._client.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer["errors"]
        found: dict[str, Any] = answer["data"]
        return found


def _run(shown: Mapping[str, Any]) -> Run:
    materialized: dict[str, dict[str, int]] = {}
    checks: dict[str, bool] = {}
    said: list[str | None] = []
    for event in shown["eventConnection"]["events"]:
        match event["__typename"]:
            case "MaterializationEvent":
                materialized["/".join(event["assetKey"]["path"])] = {
                    entry["label"]: entry["intValue"]
                    for entry in event["metadataEntries"]
                    if entry.get("intValue") is not None
                }
            case "AssetCheckEvaluationEvent":
                checks[event["evaluation"]["checkName"]] = event["evaluation"]["success"]
            case "ExecutionStepFailureEvent" | "RunFailureEvent" | "RunCanceledEvent":
                error = event.get("error") or {}
                cause = error.get("cause") or {}
                said += [event["message"], error.get("message"), cause.get("message")]
    return Run(
        shown["runId"],
        shown["status"],
        shown["jobName"],
        {tag["key"]: tag["value"] for tag in shown["tags"]},
        frozenset(materialized),
        checks,
        "\n".join(filter(None, said)),
        materialized,
    )


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _tag(run: Mapping[str, Any], key: str) -> str:
    return next((str(tag["value"]) for tag in run["tags"] if tag["key"] == key), "")

"""Sensors in a real Dagster instance: what they request, what they leave alone, what they report."""

from __future__ import annotations

import json
import logging
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest

from wooxy_pipedrive_etl.automation import alerts
from wooxy_pipedrive_etl.connections import accounts, settings
from wooxy_pipedrive_etl.connections import run_requests as requests
from wooxy_pipedrive_etl.definitions import build_defs, defs
from wooxy_pipedrive_etl.guards import Permissions
from wooxy_pipedrive_etl.orchestration import sensors
from wooxy_pipedrive_etl.orchestration.options import STEP
from wooxy_pipedrive_etl.orchestration.sensors import (
    changes_sensor,
    failure_sensor,
    matching_sensor,
    schema_sensor,
)
from wooxy_pipedrive_etl.orchestration.started_by import REQUESTED_TAG
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl.settings import ALERT_EMAIL_VARIABLE, ALERT_URL_VARIABLE, SMTP_URL_VARIABLE
from wooxy_pipedrive_etl.store import inbox, runs, tables
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, connected, small_account
from wooxy_pipedrive_etl_tests.state import change_stored

from .ticks import tick

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "colour": "shade"}


@pytest.fixture
def embedded_home(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same on SQLite only, for what does not depend on the database."""
    monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", sqlite_url)
    return sqlite_url


@pytest.fixture
def dagster() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def _run(acme: Connected, request: dg.RunRequest, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """The requested run, as the daemon would start it."""
    assert request.job_name is not None
    return (
        build_defs()
        .resolve_job_def(request.job_name)
        .execute_in_process(
            instance=instance,
            partition_key=request.partition_key,
            run_config={
                **request.run_config,
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            asset_selection=request.asset_selection,
            tags={
                **request.tags,
                sensors.RUN_KEY_TAG: str(request.run_key),
                "dagster/sensor_name": "a_sensor",
            },
            raise_on_error=False,
        )
    )


def _let_time_pass(acme: Connected) -> None:
    """Moves everything so far an hour into the past."""
    for table, columns in (
        (tables.runs, ("started_at", "finished_at")),
        (tables.polls, ("persons_at", "fields_at")),
        (tables.schema_changes, ("recorded_at",)),
    ):
        with acme.store.engine.begin() as db:
            for row in db.execute(table.select()).mappings().all():
                key = [column == row[column.name] for column in table.primary_key]
                earlier = {name: row[name] and row[name] - timedelta(hours=1) for name in columns}
                db.execute(table.update().where(*key).values(**earlier))


def test_the_first_import_syncs_and_later_imports_remap(home: str, dagster: dg.DagsterInstance) -> None:
    with connected(home, small_account()) as acme:
        assert tick(matching_sensor, dagster) == ([], "Nothing is due.")
        acme.import_rows(ROWS)
        (request,), _ = tick(matching_sensor, dagster)
        assert (request.job_name, request.partition_key) == ("full_sync", "acme")
        assert dagster.get_dynamic_partitions("connection") == ["acme"]
        assert _run(acme, request, dagster).success
        assert len(acme.contacts()) == 3
        assert tick(matching_sensor, dagster) == ([], "Nothing is due.")

        acme.import_rows(ROWS | {"city": "town"})
        acme.server.clear_requests()
        (request,), _ = tick(matching_sensor, dagster)
        assert request.job_name == "remap"
        assert request.tags["wooxy/because"].startswith("Revision 2 of the matching was imported")
        assert acme.requests() == []
        assert _run(acme, request, dagster).success
        assert acme.column("town")["person1@example.com"] == "City 1"
        assert tick(matching_sensor, dagster) == ([], "Nothing is due.")


def test_a_changed_person_is_synced_automatically(home: str, dagster: dg.DagsterInstance) -> None:
    with connected(home, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        assert tick(changes_sensor, dagster) == ([], "Nothing is due.")
        acme.account.edit_person(2, name="Somebody Else")
        # Not due yet.
        assert tick(changes_sensor, dagster) == ([], "Nothing is due.")
        _let_time_pass(acme)
        (request,), _ = tick(changes_sensor, dagster)
        assert request.job_name == "changes_sync"
        assert _run(acme, request, dagster).success
        assert acme.column("name")["person2@example.com"] == "Somebody Else"
        _let_time_pass(acme)
        assert tick(changes_sensor, dagster) == ([], "Nothing is due.")


def test_a_webhook_change_is_synced_without_polling(home: str, dagster: dg.DagsterInstance) -> None:
    with connected(home, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.edit_person(2, name="Somebody Else")
        inbox.add_event(acme.store.inbox, acme.record().id, 2, deleted=False)
        acme.server.clear_requests()
        (request,), _ = tick(matching_sensor, dagster)
        assert tick(changes_sensor, dagster) == ([], "Nothing is due.")
        assert acme.requests() == []
        assert _run(acme, request, dagster).success
        assert acme.column("name")["person2@example.com"] == "Somebody Else"


def test_renamed_options_remap_and_new_fields_show_up(home: str, dagster: dg.DagsterInstance) -> None:
    with connected(home, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.rename_option("colour", acme.account.custom_field("colour").options[0].id, "Golden")
        (request,), _ = tick(schema_sensor, dagster)
        assert request.job_name == "remap"
        assert _run(acme, request, dagster).success
        assert acme.column("shade")["person1@example.com"] == "Golden"

        _let_time_pass(acme)
        acme.account.add_field("Shoe size", "double", code="shoe")
        before = acme.dump()
        (request,), _ = tick(schema_sensor, dagster)
        assert request.job_name == "match_variables"
        result = _run(acme, request, dagster)
        assert result.success
        (table,) = [
            event.materialization.metadata["match_variables"]
            for event in result.get_asset_materialization_events()
            if event.asset_key == dg.AssetKey("variable_matches")
        ]
        assert isinstance(table, dg.TableMetadataValue)
        assert "shoe" in [record.data["key"] for record in table.records]
        # A dry run is not a run of the list: the last run and the list stay as they are.
        assert acme.last_run().kind == "re-map"
        assert acme.dump() == before
        _let_time_pass(acme)
        assert tick(schema_sensor, dagster) == ([], "Nothing is due.")


def test_no_second_run_while_one_is_queued(home: str, dagster: dg.DagsterInstance) -> None:
    with connected(home, small_account()) as acme:
        acme.import_rows(ROWS)
        job = build_defs().resolve_job_def("full_sync")
        tags = {"dagster/partition": "acme"}
        for status in (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED):
            run = dagster.create_run_for_job(job, tags=tags, status=status)
            for sensor in (matching_sensor, changes_sensor, schema_sensor):
                assert tick(sensor, dagster) == ([], "acme: a run is queued or under way.")
            dagster.delete_run(run.run_id)
        assert len(tick(matching_sensor, dagster)[0]) == 1


def test_a_run_whose_process_died_blocks_nothing(
    home: str, dagster: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster still considers a run that was killed from outside to be in progress."""
    with connected(home, small_account()) as acme:
        acme.import_rows(ROWS)
        run = dagster.create_run_for_job(
            build_defs().resolve_job_def("full_sync"),
            tags={"dagster/partition": "acme"},
            status=dg.DagsterRunStatus.STARTED,
        )
        assert tick(matching_sensor, dagster) == ([], "acme: a run is queued or under way.")
        monkeypatch.setattr(sensors, "_LOCKED_WITHIN", timedelta(0))
        with begin(acme.store, "acme", run.run_id):
            assert tick(matching_sensor, dagster) == ([], "acme: a run is queued or under way.")
        _let_time_pass(acme)
        assert len(tick(matching_sensor, dagster)[0]) == 1
        died = dagster.get_run_by_id(run.run_id)
        assert died is not None
        assert died.status is dg.DagsterRunStatus.FAILURE


def test_a_failed_run_is_retried_with_another_key(home: str, dagster: dg.DagsterInstance) -> None:
    with connected(home, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.server.faults.add(Fault("unauthorized_401"))
        (first,), _ = tick(matching_sensor, dagster)
        assert not _run(acme, first, dagster).success
        requests, why = tick(matching_sensor, dagster)
        assert requests == []
        assert str(why).startswith("acme: The last run failed; the next one starts automatically at ")
        _let_time_pass(acme)
        (second,), _ = tick(matching_sensor, dagster)
        assert second.run_key != first.run_key
        assert _run(acme, second, dagster).success


def test_a_requested_dry_run(home: str, dagster: dg.DagsterInstance) -> None:
    with connected(home, small_account()) as acme:
        acme.draft_rows({**ROWS, "city": "shade"})
        requests.request_run(acme.store, acme.name, "full", dry_run=True)
        (request,), _ = tick(matching_sensor, dagster)
        acme.server.clear_requests()
        assert not _run(acme, request, dagster).success
        # Problems of the Import are reported before persons are read.
        assert acme.requests("/api/v2/persons") == []
        assert "“shade” is fed by more than one row" in str(acme.last_run().message)

        acme.draft_rows(ROWS)
        assert tick(matching_sensor, dagster) == ([], "Nothing is due.")
        asked = requests.request_run(acme.store, acme.name, "changes", dry_run=True)
        for sensor in (changes_sensor, schema_sensor):
            assert tick(sensor, dagster) == ([], "Nothing is due.")
        (request,), _ = tick(matching_sensor, dagster)
        assert (request.job_name, request.run_key) == ("full_sync", asked.key)
        result = _run(acme, request, dagster)
        assert result.success
        with reading(acme.store.engine) as db:
            report = runs.runs_of(db, acme.record().id, 5)[0]
        assert (report.run_id, report.state, report.created) == (result.run_id, "dry_run", 3)
        assert report.matching_version is not None
        assert (acme.contacts(), acme.record().state) == ([], "draft")
        assert tick(matching_sensor, dagster) == ([], "Nothing is due.")


def test_a_requested_run_gets_its_permissions(embedded_home: str, dagster: dg.DagsterInstance) -> None:
    with connected(embedded_home, small_account(30)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        for person_id in range(1, 26):
            acme.account.hide_person(person_id)
        settings.pause(acme.store, acme.name)
        for sensor in (matching_sensor, changes_sensor, schema_sensor):
            assert tick(sensor, dagster) == ([], "Nothing is due.")
        requests.request_run(acme.store, acme.name, "full")
        (request,), _ = tick(matching_sensor, dagster)
        assert not _run(acme, request, dagster).success
        allowed = Permissions(deletions=25, reserve=True)
        requests.request_run(acme.store, acme.name, "full", permissions=allowed)
        (request,), _ = tick(matching_sensor, dagster)
        assert request.run_config["ops"][STEP]["config"]["use_reserve"] is True
        assert request.tags[REQUESTED_TAG] == "true"
        assert _run(acme, request, dagster).success
        assert len(acme.contacts()) == 5
        assert acme.record().requested_run is None


def test_a_request_whose_run_never_begins_is_dropped(
    embedded_home: str, dagster: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(embedded_home, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        requests.request_run(acme.store, acme.name, "changes")
        (request,), _ = tick(matching_sensor, dagster)
        with monkeypatch.context() as lost:
            lost.setenv("WOOXY_PIPEDRIVE_KEY", "A" * 43 + "=")
            result = _run(acme, request, dagster)
        assert not result.success
        assert acme.record().requested_run is not None
        told = "The stored credentials can't be read with this key"
        found, why = tick(matching_sensor, dagster)
        assert found == []
        assert str(why).startswith(f"acme: {told}")
        assert acme.record().requested_run is None
        last = acme.last_run()
        assert (last.run_id, last.state) == (result.run_id, "failed")
        assert str(last.message).startswith(told)
        # A repeated request is accepted.
        requests.request_run(acme.store, acme.name, "changes")
        (request,), _ = tick(matching_sensor, dagster)
        assert _run(acme, request, dagster).success


def test_a_request_waits_for_an_automatic_retry(embedded_home: str, dagster: dg.DagsterInstance) -> None:
    with connected(embedded_home, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        asked = requests.request_run(acme.store, acme.name, "changes")
        tags = {sensors.RUN_KEY_TAG: asked.key, "dagster/partition": "acme"}
        job = build_defs().resolve_job_def("changes_sync")
        failed = dagster.create_run_for_job(
            job, tags={**tags, sensors.WILL_RETRY_TAG: "true"}, status=dg.DagsterRunStatus.FAILURE
        )
        assert tick(matching_sensor, dagster) == ([], "acme: a run is queued or under way.")
        assert acme.record().requested_run is not None
        retry = dagster.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.FAILURE)
        dagster.add_run_tags(failed.run_id, {sensors.RETRIED_BY_TAG: retry.run_id})
        assert tick(matching_sensor, dagster) == (
            [],
            "acme: The run ended before it began; see it in the Dagster UI, and ask again.",
        )


def test_connections_are_independent(home: str, dagster: dg.DagsterInstance) -> None:
    """A problem of one connection does not block the others; drafts and disconnected ones are skipped."""
    with (
        connected(home, small_account(1)) as acme,
        connected(home, small_account(1), name="other", domain="other.example.com") as other,
        connected(home, small_account(1), name="draft", domain="draft.example.com"),
        connected(home, small_account(1), name="let-go", domain="let-go.example.com") as let_go,
    ):
        for each in (acme, other, let_go):
            each.import_rows(ROWS)
            each.sync()
            each.account.edit_person(1, name="Somebody Else")
        accounts.disconnect(let_go.store, "let-go", forget=False)
        with acme.store.engine.begin() as db:
            change_stored(db, acme.record().id, encrypted_api_token="unreadable")
        requests, _ = tick(changes_sensor, dagster)
        assert [request.partition_key for request in requests] == ["other"]
        assert set(dagster.get_dynamic_partitions("connection")) == {"acme", "other", "draft", "let-go"}


# Reporting failures


class _Receiver(ThreadingHTTPServer):
    """Accepts what is posted; answers with `status`."""

    status = 200

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posted.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Receiver]:
    with _serving(_Receiver()) as server:
        monkeypatch.setenv(ALERT_URL_VARIABLE, f"http://127.0.0.1:{server.server_address[1]}/secret-path")
        yield server


@contextmanager
def _serving(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _skip_reason(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> str | None:
    """Runs the failure sensor on a failed run; returns why it reported nothing, or None if it reported."""
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    event = next(event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        sensor_name="failure_sensor",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=run,
    ).for_run_failure()
    answer: Any = failure_sensor(context)
    return None if answer is None else str(answer.skip_message)


def _sync(acme: Connected, instance: dg.DagsterInstance, *faults: Fault) -> dg.ExecuteInProcessResult:
    acme.server.faults.clear()
    for fault in faults:
        acme.server.faults.add(fault)
    instance.add_dynamic_partitions("connection", ["acme"])
    return _run(acme, dg.RunRequest(job_name="full_sync", partition_key="acme"), instance)


def test_a_repeated_failure_is_reported_once(
    home: str, dagster: dg.DagsterInstance, receiver: _Receiver
) -> None:
    with connected(home, small_account()) as acme:
        acme.import_rows(ROWS)
        refused, away = Fault("unauthorized_401", times=None), Fault("status", times=None)
        assert _skip_reason(_sync(acme, dagster, refused), dagster) is None
        (first,) = receiver.posted
        assert first == {
            "text": "The full run of the connection acme (shop.example.com) failed. "
            f"{acme.last_run().message} The list stays as the last good run left it."
        }
        assert "give this connection a valid API token" in first["text"]
        for secret in (acme.account.token, "person1@example.com", "Person 1"):
            assert secret not in first["text"]
        # Again: Pipedrive's request id differs, but the failure is the same.
        assert str(_skip_reason(_sync(acme, dagster, refused), dagster)).startswith(
            "The previous run failed in the same"
        )
        assert len(receiver.posted) == 1
        assert _skip_reason(_sync(acme, dagster, away), dagster) is None
        assert _sync(acme, dagster).success
        assert _skip_reason(_sync(acme, dagster, away), dagster) is None
        assert len(receiver.posted) == 3
        assert all("failed 6 times" in told["text"] for told in receiver.posted[1:])


def test_an_early_failure_is_reported_once(
    home: str, dagster: dg.DagsterInstance, receiver: _Receiver
) -> None:
    with connected(home, small_account()) as acme:
        acme.import_rows(ROWS)
        with acme.store.engine.begin() as db:
            change_stored(db, acme.record().id, encrypted_api_token="unreadable")
        assert _skip_reason(_sync(acme, dagster), dagster) is None
        assert str(_skip_reason(_sync(acme, dagster), dagster)).startswith(
            "The previous run failed in the same way"
        )
        (told,) = receiver.posted
        assert told["text"].startswith(
            "A run of the connection acme (shop.example.com) failed. The stored credentials can't be read"
        )


def test_no_alert_without_a_configured_receiver(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", sqlite_url)
    with dg.instance_for_test() as instance, connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        result = _sync(acme, instance, Fault("unauthorized_401"))
        assert str(_skip_reason(result, instance)).startswith("No alert receiver is configured")


@pytest.mark.parametrize("trouble", ["down", "refuses", "plain http", "no url"])
def test_an_unreachable_receiver_is_logged(
    trouble: str, receiver: _Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    urls = {
        "down": "http://127.0.0.1:9/secret-path",
        "plain http": "http://hooks.example.com/secret-path",
        "no url": "http://[secret-path",
    }
    if trouble in urls:
        monkeypatch.setenv(ALERT_URL_VARIABLE, urls[trouble])
    receiver.status = 503
    with caplog.at_level(logging.WARNING, logger="wooxy_pipedrive_etl.automation.alerts"):
        alerts.send("Subject", "Text")
    (line,) = [each for each in caplog.records if each.name == "wooxy_pipedrive_etl.automation.alerts"]
    assert line.getMessage().startswith("Could not send the alert to the URL")
    assert "secret-path" not in caplog.text
    assert len(receiver.posted) == (trouble == "refuses")


class _MailServer(socketserver.ThreadingTCPServer):
    """As much of SMTP as a client needs to hand in one message."""

    allow_reuse_address = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(("127.0.0.1", 0), _MailHandler)


class _MailHandler(socketserver.StreamRequestHandler):
    server: _MailServer

    def handle(self) -> None:
        answers = {
            "EHLO": "250-here\r\n250 AUTH PLAIN",
            "AUTH": "235 welcome",
            "DATA": "354 go on",
            "QUIT": "221 bye",
        }
        self._say("220 ready")
        while line := self._line():
            word = line.split()[0].upper()
            self._say(answers.get(word, "250 fine"))
            if word == "QUIT":
                return
            if word == "DATA":
                while self._line() != ".":
                    pass
                self._say("250 taken")

    def _line(self) -> str:
        line = self.rfile.readline().decode().rstrip("\r\n")
        self.server.lines.append(line)
        return line

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def test_a_failure_is_reported_by_email(monkeypatch: pytest.MonkeyPatch) -> None:
    with _serving(_MailServer()) as server:
        port = server.server_address[1]
        monkeypatch.setenv(SMTP_URL_VARIABLE, f"smtp://sync%40example.com:geheim@127.0.0.1:{port}")
        monkeypatch.setenv(ALERT_EMAIL_VARIABLE, "ops@example.com, boss@example.com")
        alerts.send("Pipedrive sync of acme failed", "The full run failed. Do something.")
    lines = server.lines
    assert [line for line in lines if line.lower().startswith(("mail", "rcpt"))] == [
        "mail FROM:<sync@example.com>",
        "rcpt TO:<ops@example.com>",
        "rcpt TO:<boss@example.com>",
    ]
    assert "Subject: Pipedrive sync of acme failed" in lines
    assert "The full run failed. Do something." in lines


@pytest.mark.parametrize(
    "setting", ["", "https://mail.example.com", "smtp://127.0.0.1:9", "smtp://user:geheim@host:port"]
)
def test_an_unreachable_mail_server_is_logged(
    setting: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SMTP_URL_VARIABLE, setting)
    monkeypatch.setenv(ALERT_EMAIL_VARIABLE, "ops@example.com")
    with caplog.at_level(logging.WARNING, logger="wooxy_pipedrive_etl.automation.alerts"):
        alerts.send("Subject", "Text")
    (line,) = [each for each in caplog.records if each.name == "wooxy_pipedrive_etl.automation.alerts"]
    assert line.getMessage().startswith("Could not send the alert to the e-mail address")
    assert "geheim" not in caplog.text


def test_sensors_run_by_default_and_name_existing_jobs() -> None:
    repository = defs.get_repository_def()
    assert len(repository.sensor_defs) == 4
    for sensor in repository.sensor_defs:
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        for target in sensor.targets:
            repository.get_job(target.job_name)

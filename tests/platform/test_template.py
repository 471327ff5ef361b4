"""What the templates promise and no emulator holds them to: alarms, layers, dashboards."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest

from .cloudformation import ROOT, load, resources_of, translated

TEMPLATE = load(ROOT / "template.yaml")
MONITORING = load(ROOT / "monitoring.yaml")
ALARMS = resources_of(MONITORING, "AWS::CloudWatch::Alarm")


def test_there_is_one_subject_on_each_screen() -> None:
    """The application fits on four screens of some hundred lines; the rest has its file."""
    assert len((ROOT / "template.yaml").read_text().splitlines()) <= 420
    kinds = {resource["Type"] for resource in TEMPLATE["Resources"].values()}
    assert not {kind for kind in kinds if "CloudWatch" in kind or "QueryDefinition" in kind}


# ---- the layer ----


@pytest.mark.parametrize("path", ["template.yaml", "serverlessrepo/template.yaml"])
def test_a_version_of_the_layer_that_is_in_use_stays(path: str) -> None:
    expanded = translated(ROOT / path)
    (layer,) = [
        resource
        for resource in expanded["Resources"].values()
        if resource["Type"] == "AWS::Lambda::LayerVersion"
    ]
    # The parameter says Retain, unless it is a trial.
    assert layer["DeletionPolicy"] in ("Retain", {"Ref": "TableDeletionPolicy"})
    assert TEMPLATE["Parameters"]["TableDeletionPolicy"]["Default"] == "Retain"


def test_no_export_has_a_value_that_must_change() -> None:
    """An export that another stack imports cannot be updated, and each change is a new version."""
    exported = [one["Value"] for one in TEMPLATE["Outputs"].values() if "Export" in one]
    assert len(exported) == 3
    assert {"Ref": "SingletonLayer"} not in exported
    parameter = TEMPLATE["Resources"]["LayerParameter"]["Properties"]
    assert parameter["Value"] == {"Ref": "SingletonLayer"}


# ---- alarms ----


def cloudwatch(shape: str) -> Any:
    return botocore.session.get_session().get_service_model("cloudwatch").shape_for(shape)


def test_an_alarm_that_rings_for_missing_data_waits_for_the_first_run() -> None:
    breaching = [alarm for alarm in ALARMS.values() if alarm["TreatMissingData"] == "breaching"]
    assert len(breaching) == 1
    for alarm in breaching:
        warm_up = alarm["WarmUpConfiguration"]["WarmUpPeriodDurationInMinutes"]
        limits = cloudwatch("WarmUpPeriodDurationInMinutes").metadata
        assert limits["min"] <= warm_up <= limits["max"]
        longest = MONITORING["Parameters"]["LongestSilence"]["MaxValue"]
        assert alarm["EvaluationPeriods"] == {"Ref": "LongestSilence"}
        assert longest * alarm["Period"] <= warm_up * 60


def test_days_are_days_of_the_calendar() -> None:
    daily = [alarm for alarm in ALARMS.values() if alarm["Period"] == 86_400]
    assert len(daily) == 1
    assert [alarm["EvaluationWindow"] for alarm in daily] == [{"WallClockWindow": {}}]
    assert set(cloudwatch("EvaluationWindow").members) >= {"WallClockWindow"}


def test_alarms_only_say_what_cloudwatch_knows() -> None:
    known = set(cloudwatch("PutMetricAlarmInput").members)
    for alarm in ALARMS.values():
        assert set(alarm) <= known


# ---- the dashboard ----


def test_the_dashboard_shows_this_stack_only() -> None:
    body = MONITORING["Resources"]["LeaseDashboard"]["Properties"]["DashboardBody"]
    widgets = json.loads(body["Fn::Sub"])["widgets"]
    searches = [
        metric[0]["expression"]
        for widget in widgets
        for metric in widget["properties"].get("metrics", [])
    ]
    assert len(searches) == 6
    assert all('service="${Service}"' in search for search in searches)


# ---- logs ----


def test_lines_at_info_are_shown_or_the_metrics_would_be_dropped_with_them() -> None:
    logging = TEMPLATE["Globals"]["Function"]["LoggingConfig"]
    assert (logging["LogFormat"], logging["ApplicationLogLevel"]) == ("JSON", "INFO")


# ---- the schedule ----


def test_the_event_to_try_the_sample_with_is_the_schedules() -> None:
    function = TEMPLATE["Resources"]["NightlyReport"]["Properties"]
    sent = json.loads(function["Events"]["EveryNight"]["Properties"]["Input"])
    event = json.loads((ROOT / "events" / "nightly_report.json").read_text())
    assert set(event) == set(sent) == {"time"}
    assert sent["time"] == "<aws.scheduler.scheduled-time>"

"""The recipes: valid for AWS's own tools, and their handlers run."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lambda_singleton import LeaseConfigError, LeaseHeldError, Lock, MemoryStore
from lambda_singleton._stores.refusals import explain

from .cloudformation import ROOT, load, resources_of, translated

RECIPES = ROOT / "examples" / "recipes"
TEMPLATES = sorted(RECIPES.glob("*.yaml"))


@pytest.mark.parametrize("template", TEMPLATES, ids=[path.stem for path in TEMPLATES])
def test_a_recipe_is_valid_and_its_files_are_there(template: Path) -> None:
    linter = ROOT / ".venv-sam" / "bin" / "cfn-lint"
    done = subprocess.run([linter, "--", template], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    functions = resources_of(load(template), "AWS::Serverless::Function")
    assert functions
    for function in functions.values():
        module = function["Handler"].partition(".")[0]
        assert (template.parent / function["CodeUri"] / f"{module}.py").is_file()
    kinds = {resource["Type"] for resource in translated(template)["Resources"].values()}
    assert not {kind for kind in kinds if kind.startswith("AWS::Serverless")}


def test_all_recipes_are_in_the_list() -> None:
    page = (RECIPES / "README.md").read_text()
    assert all(f"({path.name})" in page for path in TEMPLATES)


# ---- several Regions ----


def test_leases_of_several_regions_are_strongly_consistent_and_have_no_ttl() -> None:
    (table,) = resources_of(
        load(RECIPES / "several_regions.yaml"), "AWS::DynamoDB::GlobalTable"
    ).values()
    assert table["MultiRegionConsistency"] == "STRONG"
    assert len(table["Replicas"]) + len(table["GlobalTableWitnesses"]) == 3
    assert "TimeToLiveSpecification" not in table


def test_two_regions_that_meet_are_tried_again() -> None:
    from botocore.exceptions import ClientError

    met = {"Error": {"Code": "ReplicatedWriteConflictException", "Message": "another Region"}}
    error = explain(ClientError(met, "UpdateItem"), "leases", "UpdateItem")  # type: ignore[arg-type]
    assert type(error).__name__ == "LeaseStoreError"


# ---- isolated tenants, a job ----


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a module of the recipes, whose default store is in memory."""
    store = MemoryStore()
    monkeypatch.syspath_prepend(str(RECIPES / "src"))
    monkeypatch.setattr(
        "lambda_singleton._decorator.singleton.store_or_default", lambda _: lambda: store
    )
    loaded: list[str] = []

    def load_module(name: str) -> Any:
        loaded.append(name)
        sys.modules.pop(name, None)
        module = importlib.import_module(name)
        module.store = store  # type: ignore[attr-defined]
        return module

    yield load_module
    for name in loaded:
        sys.modules.pop(name, None)


def context(**facts: Any) -> Any:
    return SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000, **facts)


def test_the_lease_is_the_tenants_whom_lambda_names(recipe: Any) -> None:
    sync = recipe("tenant_sync")
    north = context(tenant_id="north", aws_request_id="r")
    assert sync.handler({"tenant": "somebody-else"}, north)["tenant"] == "north"
    assert [record.name for record in sync.store.records()] == ["tenant-sync#north"]
    lease = Lock("tenant-sync#north", 30, store=sync.store).acquire()
    assert sync.handler({}, north)["status"] == "skipped"
    assert sync.handler({}, context(tenant_id="south"))["status"] == "synchronised"
    lease.release()


def test_without_a_tenant_there_is_no_shared_lease(recipe: Any) -> None:
    sync = recipe("tenant_sync")
    with pytest.raises(LeaseConfigError):
        sync.handler({}, context(tenant_id=None))
    assert list(sync.store.records()) == []


def test_a_job_runs(recipe: Any) -> None:
    assert recipe("job").handler({}, context())["status"] == "done"


# ---- OpenTelemetry ----


def test_spans_say_what_happened_to_leases(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    end = recipe("spans").trace_leases()
    store = MemoryStore()
    try:
        handler = provider.get_tracer("test").start_as_current_span("handler")
        with handler as root, Lock("report#a41", 30, store=store) as lease:
            with pytest.raises(LeaseHeldError):
                Lock("report#a41", 30, store=store).acquire()
            lease.renew()
    finally:
        end()
    *finished, outer = exporter.get_finished_spans()
    spans = {(span.name, (span.attributes or {})["decision"]): span for span in finished}
    assert set(spans) == {
        ("acquire lease report", "acquired"),
        ("acquire lease report", "skipped"),
        ("release lease report", "released"),
    }
    taken = spans["acquire lease report", "acquired"]
    assert taken.attributes is not None
    assert taken.attributes["lease"] == "report#a41"
    assert taken.attributes["token"] == lease.token
    assert taken.parent is not None
    assert taken.parent.span_id == root.get_span_context().span_id
    assert taken.start_time is not None
    assert taken.end_time is not None
    assert taken.start_time <= taken.end_time
    assert [event.name for event in outer.events] == ["lease renewed"]

"""CloudWatch's embedded metric format, as its specification describes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

UNITS = {"Count", "Milliseconds", "Seconds"}


@dataclass(frozen=True)
class Metric:
    namespace: str
    name: str
    unit: str
    dimensions: dict[str, str]
    values: list[float]


def parse(line: str) -> list[Metric]:
    """Read one document; AssertionError where CloudWatch would refuse it."""
    document: dict[str, Any] = json.loads(line)
    metadata = document["_aws"]
    assert set(metadata) == {"Timestamp", "CloudWatchMetrics"}
    # Milliseconds, and neither seconds nor microseconds.
    assert 10**12 < metadata["Timestamp"] < 10**13
    metrics = []
    for directive in metadata["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert 0 < len(directive["Namespace"]) <= 1024
        assert len(directive["Metrics"]) <= 100
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            targets = {name: document[name] for name in dimensions}
            for name, value in targets.items():
                assert 0 < len(name) <= 250
                assert isinstance(value, str)
                assert 0 < len(value) <= 1024
                assert value.isascii()
                assert value.isprintable()
            for metric in directive["Metrics"]:
                assert set(metric) <= {"Name", "Unit", "StorageResolution"}
                assert 0 < len(metric["Name"]) <= 1024
                assert metric["Unit"] in UNITS
                values = document[metric["Name"]]
                values = values if isinstance(values, list) else [values]
                assert 0 < len(values) <= 100
                assert all(isinstance(value, int | float) for value in values)
                metrics.append(
                    Metric(directive["Namespace"], metric["Name"], metric["Unit"], targets, values)
                )
    return metrics

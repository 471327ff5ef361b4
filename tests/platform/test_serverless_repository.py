"""The metadata of the application against the model of AWS's Serverless Application Repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from lambda_singleton import __version__
from local_lambda import Engine
from local_lambda.stack import Stack

from .cloudformation import ROOT, load

PATH = ROOT / "serverlessrepo" / "template.yaml"
METADATA: dict[str, Any] = load(PATH)["Metadata"]["AWS::ServerlessRepo::Application"]


def rules(member: str) -> str:
    """The model has its limits in words only."""
    model = botocore.session.get_session().get_service_model("serverlessrepo")
    request: Any = model.shape_for("CreateApplicationRequest")
    return str(request.members[member].documentation)


@pytest.mark.parametrize("member", ["Author", "Name", "Description", "Labels"])
def test_the_repositorys_metadata_are_accepted(member: str) -> None:
    said = METADATA[member]
    text = rules(member)
    pattern = re.search(r'Pattern:? "(.*?)"', text)
    longest = re.search(r"Maximum length=(\d+)", text)
    assert longest is not None
    for value in said if isinstance(said, list) else [said]:
        assert 1 <= len(value) <= int(longest[1])
        if pattern is not None:
            assert re.fullmatch(pattern[1].replace("\\\\", "\\"), value), pattern[1]
    assert pattern is not None or member == "Description"


def test_no_more_labels_than_it_takes() -> None:
    most = re.search(r"Maximum number of labels: (\d+)", rules("Labels"))
    assert most is not None
    assert len(METADATA["Labels"]) <= int(most[1])


def test_only_one_transform_which_is_sams() -> None:
    assert load(PATH)["Transform"] == "AWS::Serverless-2016-10-31"


def test_no_other_template_says_that_it_can_be_published() -> None:
    assert "Metadata" not in load(ROOT / "template.yaml")


def test_the_repositorys_files_and_version_are_there() -> None:
    assert METADATA["SemanticVersion"] == __version__
    for key in ("LicenseUrl", "ReadmeUrl"):
        assert (PATH.parent / METADATA[key]).is_file()


def test_the_application_for_the_repository_is_packaged_and_validated(
    whole_engine: Engine, tmp_path: Path
) -> None:
    stack = Stack(whole_engine, "published")
    assert "is a valid SAM Template" in stack.validate(PATH)
    packaged = tmp_path / "packaged.yaml"
    stack.package(PATH, packaged)
    metadata = load(packaged)["Metadata"]["AWS::ServerlessRepo::Application"]
    for key in ("LicenseUrl", "ReadmeUrl"):
        assert metadata[key].startswith("s3://")
    layer = load(packaged)["Resources"]["SingletonLayer"]["Properties"]
    assert layer["ContentUri"].startswith("s3://")

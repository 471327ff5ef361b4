"""The examples, as far as they can be checked without an account.

The CDK one is synthesised by the CDK itself; the Terraform one is read by a parser of its language.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hcl2
import pytest

HERE = Path(__file__).parent
RUNTIMES = ["python3.11", "python3.12", "python3.13", "python3.14"]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Compile the layer, as `make layer` does."""
    package = HERE.parent / "layer"
    subprocess.run([sys.executable, "-m", "compileall", "-q", package], check=True)


@pytest.fixture(scope="module")
def synthesised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("node") is None:
        pytest.skip("NOT CHECKED: the CDK needs Node.js, and this machine has none")
    out = tmp_path_factory.mktemp("cdk")
    subprocess.run(
        [sys.executable, "app.py"],
        cwd=HERE / "cdk",
        env={
            **os.environ,
            "CDK_OUTDIR": str(out),
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        },
        check=True,
    )
    return out / "lambda-singleton.template.json"


def of_type(template: dict[str, Any], kind: str) -> Any:
    (found,) = [r for r in template["Resources"].values() if r["Type"] == kind]
    return found


def named(template: dict[str, Any], kind: str, name: str) -> Any:
    resources = template["Resources"].items()
    (found,) = [r for n, r in resources if r["Type"] == kind and n.startswith(name)]
    return found


def only(lease: str) -> dict[str, Any]:
    return {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [lease]},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


def test_the_cdk_example(synthesised: Path) -> None:
    template = json.loads(synthesised.read_text())
    table = of_type(template, "AWS::DynamoDB::Table")
    assert table["DeletionPolicy"] == "Retain"
    assert table["Properties"] == {
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": True,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "expiration", "Enabled": True},
    }
    layer = of_type(template, "AWS::Lambda::LayerVersion")
    assert layer["Properties"]["CompatibleRuntimes"] == RUNTIMES
    # A version that a function elsewhere uses must stay.
    assert layer["DeletionPolicy"] == layer["UpdateReplacePolicy"] == "Retain"
    for name, lease in (("Job", "job"), ("ReindexTask", "reindex")):
        function = named(template, "AWS::Lambda::Function", name)["Properties"]
        assert function["LoggingConfig"] == {"LogFormat": "JSON", "ApplicationLogLevel": "INFO"}
        policy = named(template, "AWS::IAM::Policy", name)["Properties"]["PolicyDocument"]
        (statement,) = policy["Statement"]
        assert statement["Action"] == "dynamodb:UpdateItem"
        assert statement["Condition"] == only(lease)


def test_the_cdk_machine_has_the_lease_from_its_first_state_to_its_last(synthesised: Path) -> None:
    template = json.loads(synthesised.read_text())
    machine = of_type(template, "AWS::StepFunctions::StateMachine")["Properties"]
    assert machine["DefinitionSubstitutions"].keys() == {"LeaseTable", "ReindexTaskArn"}
    assets = json.loads(synthesised.with_name("lambda-singleton.assets.json").read_text())["files"]
    sources = [Path(asset["source"]["path"]).name for asset in assets.values()]
    (uploaded,) = [name for name in sources if name.endswith(".yaml")]
    known = HERE.parent / "statemachine" / "reindex_borrowed.asl.yaml"
    assert (synthesised.parent / uploaded).read_text() == known.read_text()
    policy = named(template, "AWS::IAM::Policy", "ReindexMachine")["Properties"]["PolicyDocument"]
    by_action = {str(statement["Action"]): statement for statement in policy["Statement"]}
    assert by_action.keys() == {
        "lambda:InvokeFunction",
        str(["dynamodb:UpdateItem", "dynamodb:GetItem"]),
    }
    looks = by_action[str(["dynamodb:UpdateItem", "dynamodb:GetItem"])]
    assert looks["Condition"] == only("reindex")


def test_what_the_cdk_makes_of_it_is_valid(synthesised: Path) -> None:
    linter = HERE.parent / ".venv-sam" / "bin" / "cfn-lint"
    subprocess.run([linter, "--non-zero-exit-code", "error", synthesised], check=True)


def test_the_layer_asset_is_the_package(synthesised: Path) -> None:
    package = HERE.parent / "layer/python/lambda_singleton"
    (asset,) = synthesised.parent.glob("asset.*/python/lambda_singleton")
    files = {path.relative_to(package) for path in package.rglob("*.py")}
    assert {path.relative_to(asset) for path in asset.rglob("*.py")} == files
    # What `make layer` compiles goes along.
    compiled = {path.name for path in package.rglob("*.pyc")}
    assert {path.name for path in asset.rglob("*.pyc")} == compiled
    assert compiled


def test_the_terraform_example() -> None:
    text = (HERE / "terraform" / "main.tf").read_text()
    blocks = hcl2.loads(
        text, serialization_options=hcl2.SerializationOptions(strip_string_quotes=True)
    )
    resources = {
        kind: block
        for entry in blocks["resource"]
        for kind, blocks in entry.items()
        for block in blocks.values()
    }
    table = resources["aws_dynamodb_table"]
    assert table["hash_key"] == "id"
    assert table["billing_mode"] == "PAY_PER_REQUEST"
    assert table["deletion_protection_enabled"] is True
    assert table["attribute"][0]["name"] == "id"
    assert (table["ttl"][0]["attribute_name"], table["ttl"][0]["enabled"]) == ("expiration", True)
    layer = resources["aws_lambda_layer_version"]
    assert layer["compatible_runtimes"] == RUNTIMES
    assert layer["skip_destroy"] is True
    (archive,) = [
        entry["archive_file"]["layer"] for entry in blocks["data"] if "archive_file" in entry
    ]
    assert "excludes" not in archive, "what `make layer` compiles goes along"
    assert 'log_format            = "JSON"' in text
    documents = [
        entry["aws_iam_policy_document"]
        for entry in blocks["data"]
        if "aws_iam_policy_document" in entry
    ]
    (statement,) = documents[0]["holder"]["statement"]
    assert statement["actions"] == ["dynamodb:UpdateItem"]
    conditions = {one["test"]: (one["variable"], one["values"]) for one in statement["condition"]}
    assert conditions == {
        "ForAllValues:StringEquals": ("dynamodb:LeadingKeys", ["${var.lease}"]),
        "Null": ("dynamodb:LeadingKeys", ["false"]),
    }

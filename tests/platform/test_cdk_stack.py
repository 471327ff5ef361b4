"""What the CDK makes of its example, deployed to the engine with its assets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_lambda import Engine

from .cloudformation import ROOT

PYTHON = ROOT / ".venv-examples" / "bin" / "python"


@pytest.mark.skipif(
    shutil.which("node") is None or not PYTHON.exists(),
    reason="NOT DEPLOYED: the CDK needs Node.js, and `make examples` its environment",
)
def test_the_cdk_stack_is_deployed_with_its_layer(
    whole_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", whole_engine.endpoint)
    account = "000000000000"
    subprocess.run(
        [PYTHON, "app.py"],
        cwd=ROOT / "examples" / "cdk",
        env={
            **os.environ,
            "CDK_OUTDIR": str(tmp_path),
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        },
        check=True,
    )
    s3: Any = boto3.client("s3")
    assets = json.loads((tmp_path / "lambda-singleton.assets.json").read_text())["files"]
    for asset in assets.values():
        (target,) = asset["destinations"].values()
        bucket = target["bucketName"].replace("${AWS::AccountId}", account)
        bucket = bucket.replace("${AWS::Region}", "us-east-1")
        s3.create_bucket(Bucket=bucket)
        source = tmp_path / asset["source"]["path"]
        if asset["source"]["packaging"] == "zip":
            source = Path(shutil.make_archive(str(tmp_path / source.stem), "zip", source))
        s3.put_object(Bucket=bucket, Key=target["objectKey"], Body=source.read_bytes())
    # What `cdk bootstrap` leaves in an account.
    boto3.client("ssm").put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String", Overwrite=True
    )
    stacks = boto3.client("cloudformation")
    stacks.create_stack(
        StackName="from-the-cdk",
        TemplateBody=(tmp_path / "lambda-singleton.template.json").read_text(),
        Capabilities=["CAPABILITY_IAM"],
    )
    stacks.get_waiter("stack_create_complete").wait(
        StackName="from-the-cdk", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    resources = stacks.describe_stack_resources(StackName="from-the-cdk")["StackResources"]
    made = {one["ResourceType"]: one["PhysicalResourceId"] for one in resources}
    table = boto3.client("dynamodb").describe_table(TableName=made["AWS::DynamoDB::Table"])["Table"]
    assert table["DeletionProtectionEnabled"]
    configuration = boto3.client("lambda").get_function_configuration(
        FunctionName=made["AWS::Lambda::Function"]
    )
    (layer,) = configuration["Layers"]
    assert layer["Arn"] == made["AWS::Lambda::LayerVersion"]
    assert configuration["Environment"]["Variables"]["SINGLETON_TABLE"] == table["TableName"]

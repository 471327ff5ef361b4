"""The application of `template.yaml`, deployed by AWS's own `sam` to the embedded engine.

The engine mounts no layers, reports every error of a Python function by one name, and reads state
machines in JSON only. An emulator build is a copy of the real one that runs the functions as custom
runtimes instead: `awslambdaric` from this environment, with the layer copied into the function.
Its state machines are the same, in JSON. Nothing else differs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import yaml

from .engine import ROOT, Engine, EngineError

SAM = ROOT / ".venv-sam" / "bin" / "sam"
LAYER = ROOT / "layer" / "python"
TEMPLATE = ROOT / "template.yaml"
MONITORING = ROOT / "monitoring.yaml"

#: Public parameters of AWS are not in the engine; the template's parameter takes another name.
POWERTOOLS = "/local/powertools"

BOOTSTRAP = f"""#!/bin/sh
export PYTHONPATH="$LAMBDA_TASK_ROOT" POWERTOOLS_TRACE_DISABLED=true
cd "$LAMBDA_TASK_ROOT" && exec {sys.executable} -m awslambdaric "$_HANDLER"
"""


class Stack:
    """One deployment of the application in `folder`. Deploying again updates it.

    `variables` are for the tools: where pip finds packages, for example.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        folder: Path = ROOT,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._environment = {
            **engine.environment,
            "HOME": os.environ.get("HOME", ""),
            "PATH": os.environ.get("PATH", ""),
            "SAM_CLI_TELEMETRY": "0",
            **(variables or {}),
        }
        self.name = name

    def client(self, service: str) -> Any:
        """Return a client of one of the engine's services."""
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self._environment["AWS_ENDPOINT_URL"],
            region_name=self._environment["AWS_REGION"],
        )

    def validate(self, template: Path = TEMPLATE) -> str:
        """Run `sam validate --lint`, and return what it says."""
        return self._sam("validate", "--lint", "--template-file", str(template))

    def build(self, target: Path) -> Path:
        """Run `sam build` on the template, and return the built template."""
        self._sam("build", "--build-dir", str(target), "--cache-dir", f"{target}-cache")
        return target / "template.yaml"

    def package(self, template: Path, target: Path) -> None:
        """Run `sam package`: what is local goes to the engine's S3."""
        self._sam(
            *("package", "--template-file", str(template), "--resolve-s3"),
            *("--output-template-file", str(target)),
        )

    def deploy(self, template: Path, **parameters: str) -> None:
        """Run `sam deploy`."""
        self.client("ssm").put_parameter(
            Name=POWERTOOLS, Value=powertools_layer(), Type="String", Overwrite=True
        )
        overrides = [f"{key}={value}" for key, value in parameters.items()]
        overrides.append(f"PowertoolsLayer={POWERTOOLS}")
        self._sam(
            *("deploy", "--template-file", str(template), "--stack-name", self.name),
            *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--resolve-s3"),
            *("--no-confirm-changeset", "--no-progressbar", "--parameter-overrides", *overrides),
        )

    def delete(self) -> None:
        """Delete the stack. `sam delete` takes a nested template from AWS's own addresses only."""
        cloudformation = self.client("cloudformation")
        cloudformation.delete_stack(StackName=self.name)
        cloudformation.get_waiter("stack_delete_complete").wait(
            StackName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _sam(self, *arguments: str) -> str:
        if not SAM.exists():
            raise EngineError("sam is not installed: run `make setup`")
        done = subprocess.run(
            [SAM, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EngineError(f"sam {arguments[0]} failed:\n{done.stdout}")
        return done.stdout


def powertools_layer() -> str:
    """Return an ARN such as AWS's public parameter has."""
    name = "AWSLambdaPowertoolsPythonV3-python313-arm64"
    return f"arn:aws:lambda:us-east-1:017000801446:layer:{name}:1"


def emulator_build(template: Path, target: Path, variables: Mapping[str, str]) -> Path:
    """Copy a build, rewrite its functions to custom runtimes, and return the new template.

    `variables` are added to the functions' environment.
    """
    shutil.copytree(template.parent, target)
    built = yaml.safe_load(template.read_text())
    common = built["Globals"]["Function"]
    common["Runtime"] = "provided.al2023"
    common["Layers"] = []
    common["Environment"]["Variables"] |= variables
    for name, resource in built["Resources"].items():
        if resource["Type"] == "AWS::Serverless::StateMachine":
            definition = template.parent / resource["Properties"]["DefinitionUri"]
            in_json = target / f"{name}.asl.json"
            in_json.write_text(json.dumps(yaml.safe_load(definition.read_text())))
            resource["Properties"]["DefinitionUri"] = in_json.name
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        code = target / resource["Properties"]["CodeUri"]
        shutil.copytree(
            LAYER, code, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        bootstrap = code / "bootstrap"
        bootstrap.write_text(BOOTSTRAP)
        bootstrap.chmod(0o755)
        own = resource["Properties"].get("Environment", {}).get("Variables", {})
        own.update({key: value for key, value in variables.items() if key in own})
    rewritten = target / "template.yaml"
    rewritten.write_text(yaml.safe_dump(built, sort_keys=False))
    return rewritten

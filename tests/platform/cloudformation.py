"""A template as data: as its file says, and as AWS's own translator expands it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TRANSLATOR = ROOT / ".venv-sam" / "bin" / "python"

TRANSLATE = """
import json, sys
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

template, parameters = yaml_parse(sys.argv[1]), json.loads(sys.argv[2])
print(json.dumps(Translator({}, Parser()).translate(template, parameters)))
"""


class Loader(yaml.SafeLoader):
    """Reads `!Ref x` as {"Ref": "x"}, and `!Sub x` as {"Fn::Sub": "x"}."""


def _short_form(loader: Loader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt":
        return {"Fn::GetAtt": value.split(".")}
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


Loader.add_multi_constructor("!", _short_form)


def load(path: Path) -> dict[str, Any]:
    """Read a template; short forms become long ones."""
    template: dict[str, Any] = parse(path.read_text())
    return template


def parse(text: str) -> Any:
    """Read YAML with the short forms of CloudFormation's functions."""
    return yaml.load(text, Loader)  # noqa: S506  # the safe loader's own types only


def translated(template: Path, **parameters: str) -> dict[str, Any]:
    """Expand a SAM template as AWS does when it is deployed; code is somewhere in S3."""
    data = load(template)
    for resource in data["Resources"].values():
        properties = resource["Properties"]
        for key in ("CodeUri", "ContentUri", "DefinitionUri"):
            if key in properties:
                properties[key] = "s3://bucket/key"
        if resource["Type"].startswith("AWS::Serverless::Function"):
            properties.setdefault("CodeUri", "s3://bucket/key")
        if resource["Type"] == "AWS::Serverless::Application":
            properties["Location"] = "https://s3.us-east-1.amazonaws.com/bucket/key"
    defaults = {
        name: parameter.get("Default", "") for name, parameter in data.get("Parameters", {}).items()
    }
    done = subprocess.run(
        [TRANSLATOR, "-c", TRANSLATE, json.dumps(data), json.dumps(defaults | parameters)],
        capture_output=True,
        text=True,
        check=False,
        env={"AWS_DEFAULT_REGION": "us-east-1", "HOME": "/nonexistent"},
    )
    assert done.returncode == 0, done.stderr
    expanded: dict[str, Any] = json.loads(done.stdout)
    return expanded


def statements(policy: Any) -> Iterator[dict[str, Any]]:
    """Each statement of a policy document, also those that a condition decides on."""
    for statement in policy["Statement"]:
        if "Fn::If" in statement:
            yield from (one for one in statement["Fn::If"][1:] if "Effect" in one)
        else:
            yield statement


def resources_of(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """The properties of each resource of a type, by its name in the template."""
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }

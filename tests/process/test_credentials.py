"""Every provider of boto3's chain works: with the library's own session, with boto3's, and for the
command line.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_lambda import Engine

from . import script
from .endpoints import CredentialsEndpoint, Gate, Issuer, in_minutes

CLI = "lambda_singleton_cli" if (script.ROOT / "tools").exists() else "lambda_singleton"
ROLE = "arn:aws:iam::123456789012:role/worker"
START_URL = "https://sso.example.com/start"

#: Sets up a home and the environment; returns the key that requests must be signed with.
Setup = Callable[[Path, dict[str, str]], str]


def config(home: Path, text: str, variables: dict[str, str]) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(text)
    variables["AWS_PROFILE"] = "worker"


def assumed_role(home: Path, variables: dict[str, str]) -> str:
    config(
        home,
        "[profile base]\naws_access_key_id = BASE\naws_secret_access_key = secret\n"
        f"[profile worker]\nrole_arn = {ROLE}\nsource_profile = base\n",
        variables,
    )
    return "AssumeRoleXXXXXXXX"


def web_identity(home: Path, variables: dict[str, str]) -> str:
    token = home / "token"
    token.write_text("a token")
    variables.update(AWS_ROLE_ARN=ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=str(token))
    return "AssumeRoleWithWebIdentityXXXXXXXX"


def web_identity_profile(home: Path, variables: dict[str, str]) -> str:
    token = home / "token"
    token.write_text("a token")
    config(
        home, f"[profile worker]\nrole_arn = {ROLE}\nweb_identity_token_file = {token}\n", variables
    )
    return "AssumeRoleWithWebIdentityXXXXXXXX"


def log_in(home: Path, key: str) -> None:
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    name = hashlib.sha1(key.encode()).hexdigest()  # noqa: S324
    token = {
        "startUrl": START_URL,
        "region": "us-east-1",
        "accessToken": "a token",
        "expiresAt": in_minutes(60),
    }
    (cache / f"{name}.json").write_text(json.dumps(token))


ACCOUNT = "sso_account_id = 123456789012\nsso_role_name = worker\n"


def sso(home: Path, variables: dict[str, str]) -> str:
    config(
        home,
        f"[profile worker]\nsso_start_url = {START_URL}\nsso_region = us-east-1\n{ACCOUNT}",
        variables,
    )
    log_in(home, START_URL)
    return "GetRoleCredentials"


def sso_session(home: Path, variables: dict[str, str]) -> str:
    config(
        home,
        f"[sso-session us]\nsso_start_url = {START_URL}\nsso_region = us-east-1\n"
        f"[profile worker]\nsso_session = us\n{ACCOUNT}",
        variables,
    )
    log_in(home, "us")
    return "GetRoleCredentials"


def process(home: Path, variables: dict[str, str]) -> str:
    program = home / "credentials.py"
    answer = {"Version": 1, "AccessKeyId": "PROCESS", "SecretAccessKey": "secret"}
    program.write_text(f"print({json.dumps(answer)!r})")
    config(home, f"[profile worker]\ncredential_process = {sys.executable} {program}\n", variables)
    return "PROCESS"


def shared_file(home: Path, variables: dict[str, str]) -> str:
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(
        "[worker]\naws_access_key_id = SHARED\naws_secret_access_key = secret\n"
    )
    variables["AWS_PROFILE"] = "worker"
    return "SHARED"


def environment(home: Path, variables: dict[str, str]) -> str:
    variables.update(AWS_ACCESS_KEY_ID="ENVIRONMENT", AWS_SECRET_ACCESS_KEY="secret")
    return "ENVIRONMENT"


PROVIDERS: list[Setup] = [
    assumed_role,
    web_identity,
    web_identity_profile,
    sso,
    sso_session,
    process,
    shared_file,
    environment,
]


@pytest.fixture
def gate(engine: Engine) -> Iterator[Gate]:
    with Gate(engine.endpoint) as gate:
        yield gate


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def variables(gate: Gate, issuer: Issuer, table: str, tmp_path: Path) -> dict[str, str]:
    """Everything but credentials; all of it on this machine."""
    return {
        "AWS_ENDPOINT_URL": gate.endpoint,
        "AWS_ENDPOINT_URL_STS": issuer.endpoint,
        "AWS_ENDPOINT_URL_SSO": issuer.endpoint,
        "AWS_ENDPOINT_URL_SSO_OIDC": issuer.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SINGLETON_TABLE": table,
        "HOME": str(tmp_path),
    }


@pytest.mark.parametrize("loaded", ["alone", "boto3"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_lease_is_taken_with(
    gate: Gate,
    variables: dict[str, str],
    tmp_path: Path,
    name: str,
    provider: Setup,
    loaded: str,
) -> None:
    key = provider(tmp_path, variables)
    assert script.run("take_once", name, loaded, variables=variables) == "taken"
    assert set(gate.signers) == {key}


@pytest.mark.parametrize("loaded", ["alone", "boto3"])
def test_a_lease_is_taken_with_container_credentials(
    gate: Gate, variables: dict[str, str], name: str, loaded: str
) -> None:
    with CredentialsEndpoint() as endpoint:
        variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{endpoint.endpoint}/credentials"
        assert script.run("take_once", name, loaded, variables=variables) == "taken"
    assert set(gate.signers) == {"CONTAINER"}


@pytest.mark.parametrize("provider", [assumed_role, web_identity, sso, sso_session, process])
def test_the_command_line(
    gate: Gate, variables: dict[str, str], tmp_path: Path, provider: Setup
) -> None:
    key = provider(tmp_path, variables)
    command = [sys.executable, "-m", CLI, "list"]
    code, out, err = script.finish(command, variables, timeout=30)
    assert code == 0, err + out
    assert set(gate.signers) == {key}

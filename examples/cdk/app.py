"""The table of leases, the layer, a function and a state machine that use them, with the CDK.

In this folder: `pip install aws-cdk-lib`, `cdk bootstrap` once for each account and Region, and
`cdk deploy`.
"""

from pathlib import Path

from aws_cdk import App, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from leased_machine import LeasedMachine

ROOT = Path(__file__).resolve().parents[2]

app = App()
stack = Stack(app, "lambda-singleton")

table = dynamodb.Table(
    stack,
    "LeaseTable",
    partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
    billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
    time_to_live_attribute="expiration",
    # Tokens must keep rising: the rows outlive the stack.
    removal_policy=RemovalPolicy.RETAIN,
    deletion_protection=True,
)

layer = lambda_.LayerVersion(
    stack,
    "SingletonLayer",
    # With what `make layer` has compiled: it takes CPU off each cold start.
    code=lambda_.Code.from_asset(str(ROOT / "layer")),
    # Functions of other stacks may still use a version that this one has replaced.
    removal_policy=RemovalPolicy.RETAIN,
    compatible_runtimes=[
        lambda_.Runtime.PYTHON_3_11,
        lambda_.Runtime.PYTHON_3_12,
        lambda_.Runtime.PYTHON_3_13,
        lambda_.Runtime.PYTHON_3_14,
    ],
)


def leased_function(name: str, lease: str, code: str) -> lambda_.Function:
    """Make a function that may take this lease, and no other."""
    function = lambda_.Function(
        stack,
        name,
        runtime=lambda_.Runtime.PYTHON_3_13,
        code=lambda_.Code.from_inline(code),
        handler="index.handler",
        timeout=Duration.minutes(5),
        layers=[layer],
        # Or nobody sees the library's lines.
        logging_format=lambda_.LoggingFormat.JSON,
        application_log_level_v2=lambda_.ApplicationLogLevel.INFO,
        environment={"SINGLETON_TABLE": table.table_name},
    )
    function.add_to_role_policy(
        iam.PolicyStatement(
            actions=["dynamodb:UpdateItem"],
            resources=[table.table_arn],
            conditions={
                "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [lease]},
                # Without it, one that names no key would be allowed: Scan, if it is added.
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        )
    )
    return function


leased_function(
    "Job",
    "job",
    "from lambda_singleton import singleton\n"
    "@singleton('job', duration=60, on_held='skip')\n"
    "def handler(event, context):\n"
    "    return 'done'\n",
)
task = leased_function(
    "ReindexTask",
    "reindex",
    "from lambda_singleton import singleton\n"
    "@singleton('reindex', duration=30, borrow='execution', park=120)\n"
    "def handler(event, context, lease):\n"
    "    return {'index': event['index'], 'token': lease.token}\n",
)
LeasedMachine(stack, "Reindex", table=table, task=task)

app.synth()

"""The table of leases, the layer, and a function that uses them, with the CDK.

In this folder: `pip install aws-cdk-lib`, `cdk bootstrap` once for each account and Region, and
`cdk deploy`.
"""

from pathlib import Path

from aws_cdk import App, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

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

function = lambda_.Function(
    stack,
    "Job",
    runtime=lambda_.Runtime.PYTHON_3_13,
    code=lambda_.Code.from_inline(
        "from lambda_singleton import singleton\n"
        "@singleton('job', duration=60, on_held='skip')\n"
        "def handler(event, context):\n"
        "    return 'done'\n"
    ),
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
            "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["job"]},
            # Without it, a request that names no key would be allowed: Scan, if somebody adds it.
            "Null": {"dynamodb:LeadingKeys": "false"},
        },
    )
)

app.synth()

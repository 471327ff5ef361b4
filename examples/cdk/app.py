"""The table of leases, the layer, and a function that uses them, with the CDK.

Run `cdk deploy` in this folder, with `pip install aws-cdk-lib` done before.
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
    code=lambda_.Code.from_asset(str(ROOT / "layer"), exclude=["**/__pycache__"]),
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
    environment={"SINGLETON_TABLE": table.table_name},
)
function.add_to_role_policy(
    iam.PolicyStatement(
        actions=["dynamodb:UpdateItem"],
        resources=[table.table_arn],
        conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["job"]}},
    )
)

app.synth()

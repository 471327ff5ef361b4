"""A state machine that has the lease "reindex" from its first state to its last, with the CDK.

Its definition is `statemachine/reindex_borrowed.asl.yaml`, which docs/borrow.md explains: copy it,
and put your states into `Work`.
"""

from pathlib import Path

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

DEFINITION = Path(__file__).resolve().parents[2] / "statemachine" / "reindex_borrowed.asl.yaml"


class LeasedMachine(Construct):
    """Holds the lease of `table`, and lends it to `task`, which has `borrow="execution"`."""

    def __init__(
        self, scope: Construct, name: str, *, table: dynamodb.ITable, task: lambda_.IFunction
    ) -> None:
        super().__init__(scope, name)
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            definition_body=sfn.DefinitionBody.from_file(str(DEFINITION)),
            definition_substitutions={
                "LeaseTable": table.table_name,
                "ReindexTaskArn": task.function_arn,
            },
        )
        task.grant_invoke(self.machine)
        self.machine.add_to_role_policy(
            iam.PolicyStatement(
                # It looks at the row where a call was refused.
                actions=["dynamodb:UpdateItem", "dynamodb:GetItem"],
                resources=[table.table_arn],
                conditions={
                    "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["reindex"]},
                    "Null": {"dynamodb:LeadingKeys": "false"},
                },
            )
        )

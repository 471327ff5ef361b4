# The table of leases, the layer, and the permission that a function needs, with Terraform.
# For the function itself: its layers and SINGLETON_TABLE from the outputs below, and JSON logs, or nobody sees the
# library's lines:
#
#   logging_config {
#     log_format            = "JSON"
#     application_log_level = "INFO"
#   }

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.4"
    }
  }
}

variable "lease" {
  description = "The name that the function gives to @singleton"
  type        = string
  default     = "job"
}

resource "aws_dynamodb_table" "leases" {
  name         = "leases"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }

  ttl {
    attribute_name = "expiration"
    enabled        = true
  }

  # Tokens must keep rising: nobody deletes the rows by accident.
  deletion_protection_enabled = true
}

# With what `make layer` has compiled: it takes CPU off each cold start.
data "archive_file" "layer" {
  type        = "zip"
  source_dir  = "${path.module}/../../layer"
  output_path = "${path.module}/layer.zip"
}

resource "aws_lambda_layer_version" "singleton" {
  layer_name               = "lambda-singleton"
  filename                 = data.archive_file.layer.output_path
  source_code_hash         = data.archive_file.layer.output_base64sha256
  compatible_runtimes      = ["python3.11", "python3.12", "python3.13", "python3.14"]
  compatible_architectures = ["x86_64", "arm64"]

  # Each change makes a new version. Functions elsewhere may still use an old one.
  skip_destroy = true
}

# Attach it to the function's role.
data "aws_iam_policy_document" "holder" {
  statement {
    actions   = ["dynamodb:UpdateItem"]
    resources = [aws_dynamodb_table.leases.arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:LeadingKeys"
      values   = [var.lease]
    }

    # Without it, a request that names no key would be allowed: Scan, if somebody adds it.
    condition {
      test     = "Null"
      variable = "dynamodb:LeadingKeys"
      values   = ["false"]
    }
  }
}

# For the function: its layers, and SINGLETON_TABLE in its environment.
output "layer_arn" {
  value = aws_lambda_layer_version.singleton.arn
}

output "table_name" {
  value = aws_dynamodb_table.leases.name
}

output "policy_json" {
  value = data.aws_iam_policy_document.holder.json
}

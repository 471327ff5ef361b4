"""The guarded resource's side of a fencing token."""

"""The row, its operations, and where they go."""

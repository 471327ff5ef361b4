"""The `lambda-singleton` command: for people at a terminal. The layer does not carry it."""

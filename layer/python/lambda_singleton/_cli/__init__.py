"""What `lambda-singleton` does for people at a terminal. Nothing else imports this."""

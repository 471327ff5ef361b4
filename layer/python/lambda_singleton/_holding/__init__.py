"""The holder's side of a lease: taking, keeping and leaving it."""

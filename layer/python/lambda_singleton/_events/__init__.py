"""What happens to leases, and who is told."""

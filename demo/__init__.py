"""What the leases do on a bad day: real handlers, a real engine, in one terminal."""

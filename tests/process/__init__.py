"""What a process does to a lease, through the public API only: forks, threads, loops, hangs, cuts."""

"""What a process does to a lease: forks, threads, loops, hangs and cuts. Public API only."""

"""The library beside its floor and its peers, on a real engine. Nothing of it is shipped."""

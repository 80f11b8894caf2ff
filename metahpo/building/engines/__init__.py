"""Where the trials of a build run: on this machine, or on a cluster. One file an engine."""

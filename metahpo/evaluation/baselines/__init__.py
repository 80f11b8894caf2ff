"""Methods that can be replayed, one file each; `catalogue` knows them by name."""

"""A dataset in numbers: documented, deterministic meta-features of a task."""

"""Statistics of an evaluation: pure functions from tables to tables."""

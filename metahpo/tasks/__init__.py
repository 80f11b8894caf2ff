"""On what learners are measured: datasets with a target, a kind, splits and metrics."""

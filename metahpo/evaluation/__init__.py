"""Proof on held-out tasks: recorded trials replayed, regret, ranking, figures and the report."""

"""Bayesian optimisation: acquisition functions, their maximisation, and ask/tell."""

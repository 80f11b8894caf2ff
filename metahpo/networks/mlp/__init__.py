"""Multi-layer perceptrons for tables: estimators, their search space, and the stacked network behind both."""

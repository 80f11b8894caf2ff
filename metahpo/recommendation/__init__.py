"""Flow 3b: from a dataset to hyperparameters, at once."""

"""Flow 1: from datasets to a meta-dataset."""

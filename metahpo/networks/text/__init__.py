"""Networks for texts: vocabulary, estimators, search space, and what is fine-tuned from a folder."""

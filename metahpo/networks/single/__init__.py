"""Networks trained one at a time: one loop for any torch module, and the classifier around it."""

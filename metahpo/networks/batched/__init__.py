"""Batched training: many configurations of one kind of network, trained at once as one stacked network."""

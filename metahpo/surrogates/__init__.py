"""Surrogates, models that predict the performance of configurations before and after trials."""

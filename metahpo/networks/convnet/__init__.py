"""Convolutional networks for images: estimator, search space, and the small residual network behind both."""

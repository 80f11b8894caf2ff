"""Engines, which run the trials of a build on this machine or on a cluster."""

"""A lane on a CPU core: what one epoch of training does, compiled to one function that needs no interpreter."""

"""Training of one model on a CPU core, with each epoch compiled to one function without the interpreter."""

"""What is known about performance before and after trials: surrogates learnt across tasks."""

"""What may be chosen: search spaces are ConfigSpace objects, configurations dictionaries of their active values."""

"""What may be chosen: search spaces are ConfigSpace objects, configurations plain dictionaries of their active values."""

"""Other tools with the experience of this package: one file a library, each of which is an extra."""

"""Pages: self-contained HTML with charts, each with its table."""

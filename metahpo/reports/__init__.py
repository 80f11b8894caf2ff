"""Pages: self-contained HTML with charts, each with its table; of an evaluation, a search, or a recommendation."""

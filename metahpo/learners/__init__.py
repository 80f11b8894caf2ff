"""Who is tuned: learners with a search space for each kind of task."""

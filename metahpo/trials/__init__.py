"""What happened: trials, their history on a task, and the store that never loses one."""

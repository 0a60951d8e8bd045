"""One training loop for everything that learns: schedules, optimizer, checkpoints, tracking, plans."""

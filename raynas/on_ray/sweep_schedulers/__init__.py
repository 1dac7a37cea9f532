"""How the trials of a sweep are stopped early: each way is one file with its row, a `SweepScheduler`."""

"""How the sampled axes of a sweep take their values: each way is one file with its row, a `SweepSearcher`."""

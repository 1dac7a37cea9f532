"""What a run does, and in which order: prepare, train, search, rank, profile. Nothing here imports Ray."""

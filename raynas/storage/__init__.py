"""Where a run is kept: its folder, atomic writes, owners, the copy at a URL, and checkpoints. Nothing imports Ray."""

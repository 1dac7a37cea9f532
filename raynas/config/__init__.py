"""What a user writes: run files, sweep files, locations; their keys, defaults and error messages."""

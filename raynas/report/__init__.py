"""Result files in, tables and figures out. Reads a run's folder and nothing else: no torch, no Ray."""

"""Serves the pages of a folder of runs to a browser of this machine, live while the runs go on."""

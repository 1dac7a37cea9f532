"""The data sets that a run file can name, one file a data set: how its images are read, and its row."""

"""Tables, figures and pages from the files of a run's folder, without torch and Ray."""

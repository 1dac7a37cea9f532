"""Export of derived networks: a format is a row, stated in a file of its own."""

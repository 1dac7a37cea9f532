"""What training any network needs. Knows nothing of architecture search."""

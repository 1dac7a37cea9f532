"""The stages of a run and the cluster they run on. The only folder that imports Ray."""

"""The weight-sharing network and how it is routed: gates, the choice block, and one-shot training rules."""

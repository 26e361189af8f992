"""What was measured: the store, metrics, intervals, and the published tables."""

"""The networks: their table, their builder, and the trained ones on disk."""

"""The protocol, one fold, and the campaign that runs many."""

"""What breaks, and what must be true afterwards."""

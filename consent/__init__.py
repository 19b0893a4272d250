"""May this be used, and can we prove it? Knows identity's vocabulary, not HTTP."""

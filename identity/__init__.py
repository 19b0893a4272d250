"""Who is the same person? Knows nothing of consent or HTTP."""

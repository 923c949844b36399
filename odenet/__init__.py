"""Networks whose depth is time."""

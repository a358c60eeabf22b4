"""Load and figures: everything that measures the gateway. Nothing here runs in production."""

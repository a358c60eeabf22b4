"""The leaf package: what edge and origin share. It knows nothing of ``edge``."""

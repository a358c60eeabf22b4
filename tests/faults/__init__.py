"""Nothing lost, proven: faults from outside against the real gateway, and what they found."""

"""What happens to an event: bytes in, decisions out. No I/O, no clock, no randomness."""

"""Sessions on one socket: `GET /v1/stream`, from the handshake to the last frame."""

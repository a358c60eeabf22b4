"""Real processes, real sockets, real signals: what the gateway promises, from outside."""

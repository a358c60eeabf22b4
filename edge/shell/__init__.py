"""Where the house meets the world: sockets, files, clocks, origins. Thin on purpose."""

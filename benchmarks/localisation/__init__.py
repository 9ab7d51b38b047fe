"""Who finds the sources: networks, likelihood filters and peers, on held-out skies and on the real one."""

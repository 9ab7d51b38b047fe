"""Characterisation on held-out skies and on the real one: likelihood, networks and aperture photometry together."""

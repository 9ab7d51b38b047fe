"""The sky and the instrument: surveys, observations, counts, tiles, response, emission, simulation.

Arrays and frames only. Galactic coordinates in degrees, energies in GeV, HEALPix NESTED inside.
Imports none of the other packages.
"""

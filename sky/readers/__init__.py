"""Readers, one per input format; each returns the same plain objects."""

"""Schema revisions, complete from 0001."""

"""Small numeric tables derived from public files by the scripts in scripts/."""

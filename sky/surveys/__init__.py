"""Survey definitions as TOML, one file per survey."""

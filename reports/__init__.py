"""The reports: figures and the page, from the database alone."""

"""Release file formats: FITS, VOTable, Parquet."""

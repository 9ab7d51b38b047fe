"""The database and what is made from it: schema, store, queries, associations, releases. All SQL is here."""

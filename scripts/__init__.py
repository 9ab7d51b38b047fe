"""Scripts run by hand or by make: deriving the small tables, making releases."""

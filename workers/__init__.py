"""Settings, local services, Celery, runner and command line: what joins sky, models, catalog and reports."""

"""A program that uses the embedded services until its standard input ends; prints what it got as JSON."""

import json
import sys
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from workers.local import LocalServiceError, LocalServices

try:
    services = LocalServices(Path(sys.argv[1]))
except LocalServiceError as error:
    print(json.dumps({"error": str(error)}), flush=True)
    sys.exit(1)
with services:
    url = make_url(services.urls["database"]).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string()) as connection:
        row = connection.execute("SELECT pg_postmaster_start_time()::text").fetchone()
    print(json.dumps({**services.urls, "started": row[0]}), flush=True)
    sys.stdin.read()

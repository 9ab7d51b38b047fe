"""Training the networks: no database, no Celery; what it needs is torch, numpy, scipy, astropy and healpy."""

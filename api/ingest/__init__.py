"""Ingest: files of records into the stores, streaming, restartable, in parallel."""

"""Migrations of the key store."""

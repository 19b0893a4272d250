"""Migrations of the operational store."""

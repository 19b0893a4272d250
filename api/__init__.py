"""HTTP, command line, console: the only place that builds objects and reads settings."""

__version__ = "0.1.0"

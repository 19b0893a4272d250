"""HTTP, command line, console: the only place that builds objects and reads settings."""

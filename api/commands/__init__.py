"""The commands of `aurea`, one file per group: parse, call the services, print, nothing more."""

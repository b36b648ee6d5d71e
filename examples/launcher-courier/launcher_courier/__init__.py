"""Courier as a service of the Service Launcher."""

"""Kestra and its PostgreSQL as services of the Service Launcher."""

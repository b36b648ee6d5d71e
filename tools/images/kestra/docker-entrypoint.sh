#!/bin/sh
# The server takes the container's place, so that signals and exit codes are its own.
exec /app/kestra "$@"

"""The HTTP API and the page: shows and drives what `launcher.py` says, and decides nothing.

`application` holds the table of all routes, `protection` who may come in, `tokens` the secrets that prove it,
`installation` the launcher as its files are now, `operations` starts and stops as resources, `stream` what clients
are told as it happens, `shapes` the documents that older dashboards read, `server` sockets and signals.
"""

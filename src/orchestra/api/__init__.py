"""The server: operations over HTTP, identity, live streams, logs. `web/` has the pages."""

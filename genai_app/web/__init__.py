"""The edge of the product: checks of origins and hosts, binding of sockets to sessions, rights of
handlers, response headers, the built front end."""

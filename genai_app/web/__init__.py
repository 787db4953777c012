"""What stands between the socket or the browser and the rest: origins, token binding, the policy of
handlers, headers, the built front end, the end of sessions."""

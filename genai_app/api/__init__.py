"""HTTP routes: the API, login and logout, health and metrics, and the one renderer of errors."""

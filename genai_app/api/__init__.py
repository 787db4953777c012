"""Plain HTTP routes: login and logout, health; one renderer of errors."""

"""Loss terms as pure functions, named as in the log. No network is imported here."""

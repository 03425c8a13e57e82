"""What training minimises: pure functions, each with the name under which it is logged. No network is imported here."""

"""The fence: tries of an attacker, or of bad luck, as tables of (input, promise), and one runner for all verbs."""

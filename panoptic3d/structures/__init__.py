"""The nouns: frozen, changed by `replace`, with their frame and unit said once."""

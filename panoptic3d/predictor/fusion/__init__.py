"""Several photos with poses -> one scene with consistent ids (docs/adr/0015)."""

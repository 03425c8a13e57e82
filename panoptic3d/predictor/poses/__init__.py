"""Camera poses from files of other tools, and which photo each belongs to (docs/fusion.md)."""

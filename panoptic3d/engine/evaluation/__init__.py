"""Scores of predictions: truth, measures, records that resume, results, comparisons, tables and pages."""

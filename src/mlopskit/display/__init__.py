"""Pictures and pages from plain data: this package looks and never computes."""

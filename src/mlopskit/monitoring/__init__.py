"""The monitors: each turns a batch into a report with evidence."""

"""Pure functions: arrays and counts in, frozen results out. No frame, path, clock or logger is seen here."""

"""Networks of several designs, trained equally and compared in one table."""

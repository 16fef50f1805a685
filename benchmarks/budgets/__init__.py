"""How many epochs schedules of budgets save."""

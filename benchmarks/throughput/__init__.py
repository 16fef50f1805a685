"""How much work a second networks do in training and evaluation, and where the time goes."""

"""How far each trial is evaluated, and which of them go on."""

"""What to draw of a task's results, as values: `choice` decides, others draw. Pure."""

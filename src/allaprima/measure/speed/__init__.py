"""How fast styles paint here: by stage, by layer, and against what the machine can do."""

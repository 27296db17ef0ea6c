"""How much work an event and a call are, counted: the same on every machine, busy or not."""

"""How well and how steadily styles paint: the instruments, and the protocol that uses them."""

"""What was measured, to be read: tables, plots, and one page that stands by itself."""

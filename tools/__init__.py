"""Scripts for work on the project."""

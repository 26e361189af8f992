"""A generated chest: its anatomy, its vessels, its lesions, and the scanner that takes slices of it."""

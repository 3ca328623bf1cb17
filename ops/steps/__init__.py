"""The changes. One module per verb; each says what undoes it, or why nothing does."""

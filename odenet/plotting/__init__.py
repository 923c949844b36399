"""What figures, tables and sentences share: the canvas, the places of labels, the wording."""

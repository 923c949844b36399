"""Changes of depth of trained networks: refinement, pruning, adaptation, and their schedules."""

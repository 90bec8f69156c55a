"""What the lab concludes from runs, in words, and which runs it chooses by itself."""

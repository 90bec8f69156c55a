"""What a learner does step by step, in the lab itself."""

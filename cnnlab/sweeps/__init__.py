"""Many runs by one plan."""

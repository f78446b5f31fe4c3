"""Headers of responses, read as browsers read them, in time that grows with their length."""

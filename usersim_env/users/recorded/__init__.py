"""What a recorded episode holds for playing its user side again, and how far a live agent is from it."""

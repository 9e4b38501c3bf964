"""People in a browser: one session of a person, and the server that runs a study with many of them."""

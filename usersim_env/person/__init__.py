"""One person's page: the conversation in the browser that an env and a study share, from settings to sockets."""

"""Files of JSON lines that only one program appends to, and that a crash or a full disk leaves readable."""

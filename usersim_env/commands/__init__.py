"""The commands of ``usersim-env``, one file each: its arguments, and what it prints."""

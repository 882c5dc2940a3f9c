"""What `notify` can do on a command line, a file a family of commands."""

"""The commands, one file each; heavy imports wait until their command is chosen."""

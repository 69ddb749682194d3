"""What the commands, the studio and Python users share: whole steps from folder to folder."""

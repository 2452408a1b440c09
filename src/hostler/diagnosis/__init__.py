"""What may keep a server from working well on this machine, found out before it is started."""

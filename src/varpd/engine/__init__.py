"""What happened in, what has to be done out: the decisions of the daemon, without IO or clock."""

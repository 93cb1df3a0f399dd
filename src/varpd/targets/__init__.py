"""What is known of destinations: entries, their states and the frames that wait for them."""

"""What every class does in other processes."""

"""What the fault matrix is made of: how services write, who is asked, what is expected."""

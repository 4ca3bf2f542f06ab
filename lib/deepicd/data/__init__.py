"""From hospital records to one admission note a stay, split by patient."""

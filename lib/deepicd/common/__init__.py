"""What every room may use: errors, atomic files, checked parameters, HTTP."""

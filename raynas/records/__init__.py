"""Every file of a run or sweep as a type: written and read by the same class."""

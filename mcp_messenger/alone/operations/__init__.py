"""The table's operations as one messenger alone carries them out."""

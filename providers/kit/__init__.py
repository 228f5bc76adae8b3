"""The parts that every messenger is made of, one small module each."""

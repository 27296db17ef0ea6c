"""Tools of the tests that know nothing of the code under test."""

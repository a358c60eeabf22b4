"""Thirteen bugs that others have shipped, planted one at a time: each is caught by a named test."""

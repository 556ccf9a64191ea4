"""Figures of reliability that take longer than a test may: `make soak` takes them all, the tests take short forms of them."""

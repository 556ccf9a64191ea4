"""Says before the tests begin by what the messages are judged, so that nobody takes the lesser check for the full one."""

import validation

print(validation.description())

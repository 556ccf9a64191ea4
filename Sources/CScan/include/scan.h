// The look at long strings of JSON, with vectors that Swift has no instructions for: 32 bytes, and a table looked up in each of them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Bytes that are looked at together.
#define SCAN_WIDTH 32

/// Whether this processor has the instructions that the functions below need. Without them they must not be called.
bool scan_is_wide(void);

/// What `scan_string` has come by.
#define SCAN_ESCAPES 1u
#define SCAN_BEYOND_ASCII 2u

/// Passes over the characters and escapes of a string (RFC 8259, section 7). UTF-8 is not checked.
/// - text, count: all that may be read.
/// - start: where to begin, at most `count`; not within an escape.
/// - found: gets what stands before the place returned.
/// Returns the first place that it does not pass: a quote, a control character, a backslash that begins no whole, valid escape; or one
/// with fewer than SCAN_WIDTH bytes before `count`, where the caller has to look itself.
size_t scan_string(const uint8_t *text, size_t count, size_t start, unsigned *found);

/// Whether a stretch of text is well-formed UTF-8 (Unicode, table 3-7) except for its end: that no byte there begins a sequence which
/// goes on behind it is left to the caller.
/// - start: at least three bytes of the same text stand before it, and are well-formed.
/// - end: at least `start` + SCAN_WIDTH.
bool scan_utf8(const uint8_t *text, size_t start, size_t end);

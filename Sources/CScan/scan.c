#include "scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE __attribute__((target("avx2")))
// A table, for either half of a vector.
#define TWICE(...) __VA_ARGS__, __VA_ARGS__

bool scan_is_wide(void) { return __builtin_cpu_supports("avx2"); }

static inline bool is_hex_digit(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

// Where escapes in hexadecimal digits, one behind the other, end. Some write all that is not ASCII so.
static inline size_t end_of_hexadecimal(const uint8_t *text, size_t count, size_t index) {
    while (count - index >= 6 && text[index] == '\\' && text[index + 1] == 'u' && is_hex_digit(text[index + 2])
           && is_hex_digit(text[index + 3]) && is_hex_digit(text[index + 4]) && is_hex_digit(text[index + 5]))
        index += 6;
    return index;
}

// Which bytes stand behind the backslash of an escape: those behind an odd number of backslashes, of which the first is in the block.
// - backslashes: a bit for each byte, the first in the lowest place.
// - is_cut: gets whether the last byte begins an escape.
static inline uint32_t escaped_bytes(uint32_t backslashes, bool *is_cut) {
    const uint32_t even = 0x55555555;
    uint32_t behind = backslashes << 1, ends;
    // A sum carries from where a run begins to the bit behind its end.
    uint32_t odd_beginnings = backslashes & ~even & ~behind;
    *is_cut = __builtin_add_overflow(odd_beginnings, backslashes, &ends);
    return (even ^ (ends << 1)) & behind;
}

// Sets the bytes that are a whole escape behind a backslash.
WIDE static inline uint32_t simple_escapes(__m256i block) {
    // One bit for each upper half: those of 2, 5, 6 and 7. Bytes beyond ASCII find nothing.
    const __m256i by_upper = _mm256_setr_epi8(TWICE(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i by_lower = _mm256_setr_epi8(TWICE(0, 0, 1 | 4 | 8, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1));
    __m256i upper = _mm256_and_si256(_mm256_srli_epi16(block, 4), _mm256_set1_epi8(0x0F));
    __m256i kind = _mm256_and_si256(_mm256_shuffle_epi8(by_upper, upper), _mm256_shuffle_epi8(by_lower, block));
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(kind, _mm256_setzero_si256()));
}

WIDE size_t scan_string(const uint8_t *text, size_t count, size_t start, unsigned *found) {
    const __m256i quote = _mm256_set1_epi8('"'), backslash = _mm256_set1_epi8('\\'), control = _mm256_set1_epi8(0x1F);
    size_t index = start;
    uint32_t escapes = 0, beyond = 0;
    while (index + SCAN_WIDTH <= count) {
        __m256i block = _mm256_loadu_si256((const __m256i *)(text + index));
        uint32_t stops = (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(
            _mm256_cmpeq_epi8(block, quote), _mm256_cmpeq_epi8(_mm256_min_epu8(block, control), block)));
        uint32_t backslashes = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block, backslash));
        uint32_t high = (uint32_t)_mm256_movemask_epi8(block);
        size_t length = SCAN_WIDTH;
        if (backslashes != 0) {
            bool is_cut;
            uint32_t escaped = escaped_bytes(backslashes, &is_cut);
            // An escape that goes on behind the block is the beginning of the next one.
            if (is_cut) {
                length -= 1;
                backslashes &= ~(UINT32_C(1) << length);
            }
            stops = (stops & ~escaped) | (escaped & ~simple_escapes(block)) >> 1;
        }
        if (stops == 0) {
            escapes |= backslashes;
            beyond |= high;
            index += length;
            continue;
        }
        size_t at = (size_t)__builtin_ctz(stops);
        uint32_t before = ~(~UINT32_C(0) << at);
        escapes |= backslashes & before;
        beyond |= high & before;
        index += at;
        size_t end = end_of_hexadecimal(text, count, index);
        if (end == index) break;
        escapes = 1;
        index = end;
    }
    *found = (escapes != 0 ? SCAN_ESCAPES : 0) | (beyond != 0 ? SCAN_BEYOND_ASCII : 0);
    return index;
}

// Two bytes in a row are wrong if the tables for the halves of the first and for the upper half of the second agree on a reason. After
// Keiser and Lemire, "Validating UTF-8 In Less Than One Instruction Per Byte" (2021).
enum {
    CUT = 1 << 0,          // a beginning, and no continuation
    LONE = 1 << 1,         // a continuation behind ASCII
    OVERLONG_3 = 1 << 2,   // E0, and less than A0
    BEYOND = 1 << 3,       // F4 and at least 90, or F5 and above
    SURROGATE = 1 << 4,    // ED, and at least A0
    OVERLONG_2 = 1 << 5,   // C0 or C1
    OVERLONG_4 = 1 << 6,   // F0, and less than 90; F5 and above with the same
    SECOND = 1 << 7,       // a continuation behind another: right if one of those before wants it
    ALWAYS = CUT | LONE | SECOND,
};

WIDE static inline __m256i misplaced(const uint8_t *at) {
    const __m256i by_first_upper = _mm256_setr_epi8(TWICE(
        LONE, LONE, LONE, LONE, LONE, LONE, LONE, LONE, (char)SECOND, (char)SECOND, (char)SECOND, (char)SECOND,
        CUT | OVERLONG_2, CUT, CUT | OVERLONG_3 | SURROGATE, CUT | BEYOND | OVERLONG_4));
    const __m256i by_first_lower = _mm256_setr_epi8(TWICE(
        (char)(ALWAYS | OVERLONG_2 | OVERLONG_3 | OVERLONG_4), (char)(ALWAYS | OVERLONG_2), (char)ALWAYS, (char)ALWAYS,
        (char)(ALWAYS | BEYOND), (char)(ALWAYS | BEYOND | OVERLONG_4), (char)(ALWAYS | BEYOND | OVERLONG_4),
        (char)(ALWAYS | BEYOND | OVERLONG_4), (char)(ALWAYS | BEYOND | OVERLONG_4), (char)(ALWAYS | BEYOND | OVERLONG_4),
        (char)(ALWAYS | BEYOND | OVERLONG_4), (char)(ALWAYS | BEYOND | OVERLONG_4), (char)(ALWAYS | BEYOND | OVERLONG_4),
        (char)(ALWAYS | BEYOND | OVERLONG_4 | SURROGATE), (char)(ALWAYS | BEYOND | OVERLONG_4), (char)(ALWAYS | BEYOND | OVERLONG_4)));
    const __m256i by_second_upper = _mm256_setr_epi8(TWICE(
        CUT, CUT, CUT, CUT, CUT, CUT, CUT, CUT, (char)(LONE | SECOND | OVERLONG_2 | OVERLONG_3 | OVERLONG_4),
        (char)(LONE | SECOND | OVERLONG_2 | OVERLONG_3 | BEYOND), (char)(LONE | SECOND | OVERLONG_2 | SURROGATE | BEYOND),
        (char)(LONE | SECOND | OVERLONG_2 | SURROGATE | BEYOND), CUT, CUT, CUT, CUT));
    const __m256i half = _mm256_set1_epi8(0x0F);
    __m256i bytes = _mm256_loadu_si256((const __m256i *)at), before = _mm256_loadu_si256((const __m256i *)(at - 1));
    __m256i second = _mm256_loadu_si256((const __m256i *)(at - 2)), third = _mm256_loadu_si256((const __m256i *)(at - 3));
    __m256i wrong = _mm256_and_si256(
        _mm256_and_si256(
            _mm256_shuffle_epi8(by_first_upper, _mm256_and_si256(_mm256_srli_epi16(before, 4), half)),
            _mm256_shuffle_epi8(by_first_lower, _mm256_and_si256(before, half))),
        _mm256_shuffle_epi8(by_second_upper, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half)));
    // The second and third continuation of longer sequences: where one is wanted, SECOND is right, and nothing else.
    __m256i wanted = _mm256_or_si256(
        _mm256_subs_epu8(second, _mm256_set1_epi8(0xE0 - 0x80)), _mm256_subs_epu8(third, _mm256_set1_epi8(0xF0 - 0x80)));
    return _mm256_xor_si256(wrong, _mm256_and_si256(wanted, _mm256_set1_epi8((char)0x80)));
}

WIDE bool scan_utf8(const uint8_t *text, size_t start, size_t end) {
    __m256i wrong = _mm256_setzero_si256();
    bool was_ascii = false;
    for (size_t index = start; index + SCAN_WIDTH <= end; index += SCAN_WIDTH) {
        bool is_ascii = _mm256_movemask_epi8(_mm256_loadu_si256((const __m256i *)(text + index))) == 0;
        // Behind a block with something else the first bytes may be wrong.
        if (!is_ascii || !was_ascii) wrong = _mm256_or_si256(wrong, misplaced(text + index));
        was_ascii = is_ascii;
    }
    // The last ones: some of them once more.
    wrong = _mm256_or_si256(wrong, misplaced(text + end - SCAN_WIDTH));
    return _mm256_testz_si256(wrong, wrong);
}

#else

// Swift's vectors of sixteen bytes are what there is here.
bool scan_is_wide(void) { return false; }
size_t scan_string(const uint8_t *text, size_t count, size_t start, unsigned *found) {
    (void)text, (void)count;
    *found = 0;
    return start;
}
bool scan_utf8(const uint8_t *text, size_t start, size_t end) {
    (void)text, (void)start, (void)end;
    return false;
}

#endif

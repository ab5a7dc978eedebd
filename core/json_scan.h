/* core/json_scan.h - reading JSON from memory from front to end, keeping nothing.
 *
 * For headers that may be large: time is linear, and memory is what the caller keeps. A function
 * that fails leaves words in `fault`, at the byte `at`. The bytes may change while they are read (a
 * map of a file): what is found then is wrong, but never outside of them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_scan {
    const char *start, *at, *end;
    const char *fault; /* NULL: none */
};

enum { JSON_SCAN_DEPTH_MAX = 64 };

/* The next byte that is not blank, which stays where it is; -1: there is none. */
int json_scan_peek(struct json_scan *s);
/* Whether the next byte that is not blank is c, which is taken then. No fault if it is not. */
bool json_scan_accept(struct json_scan *s, char c);

/* A string: its bytes between the quotes, as they are written. UTF-8 and escapes are checked, and
 * \u0000 is refused. */
bool json_scan_string(struct json_scan *s, const char **ret_raw, size_t *ret_len);
/* Turns such bytes into what they stand for, in place; terminates them by NUL, for which there is
 * room. Returns the length. */
size_t json_scan_unescape(char *text, size_t len);

/* Any value, passed over; NaN, Infinity and -Infinity, which Python writes, are values. */
bool json_scan_skip(struct json_scan *s);
/* A value, which is passed over if it is not an integer that fits; then *ret_fits is false. */
bool json_scan_integer(struct json_scan *s, int64_t *ret, bool *ret_fits);

/* Steps through an object or a list, whose opening byte was taken; *first is true at the beginning.
 * 1: a member (a key, whose value is next) or an element follows; 0: it is closed; -1: a fault. */
int json_scan_member(struct json_scan *s, bool *first, const char **ret_raw_key, size_t *ret_len);
int json_scan_element(struct json_scan *s, bool *first);

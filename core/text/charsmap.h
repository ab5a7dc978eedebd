/* core/text/charsmap.h - the rules of characters of a SentencePiece model, in the form in which the
 * model has them compiled (precompiled_charsmap): at each place of a text the longest of the rules'
 * left sides is replaced, and a character that begins none is copied.
 *
 *   u32 bytes of the trie | the trie: a double array of u32 units (darts-clone) | the right sides,
 *   each ended by NUL; a leaf's value is where one begins
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/text/added_tokens.h"
#include <stddef.h>
#include <stdint.h>

struct charsmap {
    uint32_t *units;
    size_t n;
    char *texts; /* ended by NUL */
    size_t texts_len;
};

/* Copies what it keeps of bytes. ERR_INVALID where they are damaged. Undone by charsmap_free(), on
 * failure too. */
int charsmap_init(struct charsmap *m, const void *bytes, size_t len, struct err *err);
void charsmap_free(struct charsmap *m);

/* Appends the text (valid UTF-8), or at least `most` bytes of it; the tokens `keep` in it stay as
 * they are. False where it takes longer than the watch allows. */
bool charsmap_append(const struct charsmap *m, const struct added_tokens *keep, const char *text,
                     size_t len, struct buf *out, size_t most, struct watch *watch);

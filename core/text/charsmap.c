/* core/text/charsmap.c - see charsmap.h. The file is not trusted: every step of the walk stays
 * within the array, and a right side that is not UTF-8 is refused when the rules are read. */
#include "core/text/charsmap.h"
#include "core/utf8.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { WORK_MAX = 4096 };       /* small steps between looks at the clock */
enum { LEFT_BYTES_MAX = 1024 }; /* of a left side */

int charsmap_init(struct charsmap *m, const void *bytes, size_t len, struct err *err)
{
    const char *at = bytes;
    uint32_t trie = 0;

    if (len >= sizeof(trie))
        memcpy(&trie, at, sizeof(trie));
    if (len < sizeof(trie) || trie > len - sizeof(trie) || trie % 4 || trie == 0)
        return err_set(err, ERR_INVALID, "its precompiled_charsmap is damaged");
    at += sizeof(trie);
    m->n = trie / 4;
    m->texts_len = len - sizeof(trie) - trie;
    m->units = malloc(trie);
    m->texts = malloc(m->texts_len + 1);
    if (!m->units || !m->texts)
        return err_nomem(err, len);
    memcpy(m->units, at, trie);
    memcpy(m->texts, at + trie, m->texts_len);
    m->texts[m->texts_len] = '\0';
    if (utf8_valid(m->texts, m->texts_len) < m->texts_len)
        return err_set(err, ERR_INVALID, "its precompiled_charsmap is damaged: not UTF-8");
    return 0;
}

void charsmap_free(struct charsmap *m)
{
    free(m->units);
    free(m->texts);
    *m = (struct charsmap){0};
}

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* The longest left side at the beginning of text: its bytes (0: none), and its right side. */
static size_t find(const struct charsmap *m, const char *text, size_t len, const char **ret)
{
    size_t at = offset_of(m->units[0]), found = 0;

    for (size_t i = 0; i < len && i < LEFT_BYTES_MAX; i++) {
        uint8_t byte = (uint8_t)text[i];
        uint32_t unit;
        at ^= byte;
        if (byte == 0 || at >= m->n || (m->units[at] & (1u << 31 | 0xff)) != byte)
            break;
        unit = m->units[at];
        at ^= offset_of(unit);
        if (unit >> 8 & 1 && at < m->n) {
            uint32_t value = m->units[at] & 0x7fffffff;
            *ret = value < m->texts_len && (m->texts[value] & 0xc0) != 0x80 ? m->texts + value : "";
            found = i + 1;
        }
    }
    return found;
}

bool charsmap_append(const struct charsmap *m, const struct added_tokens *keep, const char *text,
                     size_t len, struct buf *out, size_t most, struct watch *watch)
{
    size_t at = 0, work = 0;

    while (at < len && out->len <= most) {
        const struct added_token *kept = added_tokens_at(keep, text + at, len - at, &work);
        const char *by = NULL;
        size_t n = kept ? kept->len : find(m, text + at, len - at, &by);
        if (by) {
            buf_puts(out, by);
        } else {
            n = n ? n : utf8_len((const uint8_t *)text + at, len - at);
            n = n ? n : 1;
            buf_append(out, text + at, n);
        }
        at += n;
        if (++work > WORK_MAX && watch_is_late(watch, work))
            return false;
        work = work > WORK_MAX ? 0 : work;
    }
    return true;
}

/* core/text/piece_cache.c - see piece_cache.h. */
#include "core/text/piece_cache.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PLACES = 1 << 15, LEN_MAX = 24, TOKENS_MAX = 8 };

struct entry {
    uint8_t len; /* 0: empty */
    uint8_t n;
    uint8_t has_begins;
    uint8_t begins[TOKENS_MAX];
    char text[LEN_MAX];
    int32_t ids[TOKENS_MAX];
};

struct piece_cache {
    pthread_mutex_t lock;
    struct entry *entries; /* (PLACES) */
};

struct piece_cache *piece_cache_new(void)
{
    struct piece_cache *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->entries = calloc(PLACES, sizeof(*c->entries));
    if (!c->entries || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c->entries);
        free(c);
        return NULL;
    }
    return c;
}

void piece_cache_free(struct piece_cache *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->entries);
    free(c);
}

struct piece_cache *piece_cache_enter(struct piece_cache *c)
{
    return c && pthread_mutex_trylock(&c->lock) == 0 ? c : NULL;
}

void piece_cache_leave(struct piece_cache *c)
{
    if (c)
        pthread_mutex_unlock(&c->lock);
}

static struct entry *place_of(const struct piece_cache *c, const char *text, size_t len)
{
    return &c->entries[XXH3_64bits(text, len) % PLACES];
}

int piece_cache_find(const struct piece_cache *c, const char *text, size_t len, uint32_t origin,
                     struct token_list *out, struct err *err)
{
    const struct entry *e;
    int rc = 0;

    if (!c || len == 0 || len > LEN_MAX)
        return 0;
    e = place_of(c, text, len);
    if (e->len != len || memcmp(e->text, text, len) != 0 || (out->places && !e->has_begins))
        return 0;
    for (int i = 0; i < e->n && rc == 0; i++)
        rc = token_list_push(out, e->ids[i], origin + e->begins[i], err);
    return rc < 0 ? rc : 1;
}

void piece_cache_put(struct piece_cache *c, const char *text, size_t len, uint32_t origin,
                     const struct token_list *out, int first)
{
    int n = out->n - first;
    struct entry *e;

    if (!c || len == 0 || len > LEN_MAX || n > TOKENS_MAX)
        return;
    e = place_of(c, text, len);
    e->len = (uint8_t)len;
    e->n = (uint8_t)n;
    e->has_begins = out->places;
    memcpy(e->text, text, len);
    for (int i = 0; i < n; i++) {
        e->ids[i] = out->ids[first + i];
        e->begins[i] = out->places ? (uint8_t)(out->begins[first + i] - origin) : 0;
    }
}

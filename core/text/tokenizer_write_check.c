/* core/text/tokenizer_write_check.c - see tokenizer_write.h: what a GGUF can say. The rule is that
 * a text has the same ids there; one exception is a notice: which blanks are put in front of a
 * text, of what follows a special token, and removed, where nearly every text is without them. */
#include "core/text/merge_scores.h"
#include "core/text/tokenizer_write_impl.h"
#include <stdarg.h>
#include <string.h>

static void fault(const struct tokenizer_keys *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void fault(const struct tokenizer_keys *k, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    problems_add_rest(k->problems, k->w->from, "the tokenizer cannot become that of a GGUF", fmt,
                      ap);
    va_end(ap);
}

void tokenizer_write_fault(const struct tokenizer_keys *k, const char *words, const char *text,
                           size_t len)
{
    fault(k, "%s '%s'", words, token_text_show(text, len).text);
}

/* ---- how a text is cut ---- */

static void check_bytes(struct tokenizer_keys *k)
{
    const struct tokenizer *t = k->t;

    k->pre = gguf_pre_of(&t->normalizer, &t->pre, t->ignore_merges);
    if (k->pre)
        return;
    if (t->normalizer.n > 0 && !normalizer_is_form(&t->normalizer, UNICODE_NFC))
        fault(k, "its normalizer has no name there, and NFC alone does not do the same");
    else if (gguf_pre_of(&t->normalizer, &t->pre, !t->ignore_merges))
        fault(k, "it has a name for the pre-tokenizer, but only with ignore_merges %s",
              t->ignore_merges ? "false" : "true");
    else
        fault(k, "its pre-tokenizer has none of the patterns that have a name there "
                 "(tokenizer.ggml.pre)");
}

static bool has_blank_inside(const struct vocab_token *token)
{
    return token->text && token->len > strlen(token_blank) &&
           memmem(token->text + 1, token->len - 1, token_blank, strlen(token_blank));
}

/* Metaspace cuts at every U+2581; a GGUF cuts nowhere, which makes no difference unless a token
 * reaches across. */
static void check_cuts(const struct tokenizer_keys *k)
{
    for (int id = 0; id < k->t->vocab.n; id++)
        if (k->made[id] && has_blank_inside(&k->t->vocab.tokens[id])) {
            fault(k, "its Metaspace cuts at every blank, and the token '%s' reaches across one",
                  vocab_token_show(&k->t->vocab.tokens[id]).text);
            return;
        }
}

static void check_meta(struct tokenizer_keys *k, enum meta_prefix prefix, bool splits)
{
    k->prefix = prefix != META_NEVER;
    if (k->prefix)
        buf_printf(k->notices,
                   "llama.cpp puts a blank in front of every text and behind every special token; "
                   "this tokenizer puts none where one is%s\n",
                   prefix == META_FIRST ? ", and none behind a special token" : "");
    if (splits)
        check_cuts(k);
}

static void check_characters(struct tokenizer_keys *k)
{
    const struct tokenizer *t = k->t;
    enum meta_prefix prefix = META_NEVER;
    bool splits = false;

    if (!t->fallback.bytes)
        fault(k, "it has no byte_fallback, and llama.cpp fails at characters that it does not "
                 "know");
    if (t->ignore_merges)
        fault(k, "ignore_merges has no word there");
    if (t->normalizer.n == 0 && pretokenizer_is_meta(&t->pre, &prefix, &splits))
        check_meta(k, prefix, splits);
    else if (!normalizer_is_blanks(&t->normalizer, &k->prefix, &k->collapse) ||
             !pretokenizer_is_blanks(&t->pre))
        fault(k, "its normalizer and pre-tokenizer do not do what those of SentencePiece do: "
                 "blanks must become U+2581, and nothing else may change");
}

static void check_pieces(struct tokenizer_keys *k)
{
    const struct tokenizer *t = k->t;

    if (!t->pieces.has_bytes)
        fault(k, "it has no byte_fallback, and llama.cpp fails at characters that it does not "
                 "know");
    if (!normalizer_is_blanks(&t->normalizer, &k->prefix, &k->collapse))
        fault(k, "its rules of characters (precompiled_charsmap) have no place there");
    if (k->prefix && t->pieces.user.n > 0)
        buf_printf(k->notices,
                   "llama.cpp puts a blank behind '%s' and others of the %d pieces that the user "
                   "defined, which SentencePiece does not\n",
                   token_text_show(t->pieces.user.items[0].text, t->pieces.user.items[0].len).text,
                   t->pieces.user.n);
}

static int check_kind(struct tokenizer_keys *k, struct err *err)
{
    struct err why;
    int rc;

    if (k->t->kind == TOKENIZER_BYTES) {
        check_bytes(k);
        return 0;
    }
    if (k->t->kind == TOKENIZER_PIECES) {
        check_pieces(k);
    } else {
        rc = merge_scores(k->t, k->scores, k->made, &why);
        if (rc == ERR_NOMEM)
            return err_set(err, rc, "%s", why.text);
        if (rc < 0)
            fault(k, "its merges are not those of scores: %s", why.text);
        check_characters(k);
    }
    if (k->collapse)
        buf_puts(k->notices, "llama.cpp keeps blanks that this tokenizer removes: those in front "
                             "of a text, behind it, and all but one of several\n");
    return 0;
}

/* ---- added tokens ---- */

static unsigned stripped(const struct added_tokens *a, bool as_phi3)
{
    unsigned wrong = 0;

    for (int i = 0; i < a->n; i++) {
        bool strips = as_phi3 && gguf_phi3_strips(a->items[i].text);
        wrong |= !(a->items[i].flags & ADDED_RSTRIP) == strips;
    }
    return wrong;
}

bool tokenizer_strips_as_phi3(const struct tokenizer *t)
{
    const struct added_tokens *a = &t->added[ADDED_FIRST];

    return stripped(a, false) && !stripped(a, true);
}

static const char *flag_name(unsigned flags)
{
    return flags & ADDED_LSTRIP        ? "lstrip"
           : flags & ADDED_SINGLE_WORD ? "single_word"
           : flags & ADDED_RSTRIP      ? "rstrip"
                                       : NULL;
}

/* One that is looked for in normalised text: the text itself, but for its blanks. */
static bool is_changed(const struct tokenizer *t, const struct added_token *token)
{
    const struct vocab_token *as_it_is = &t->vocab.tokens[token->id];
    size_t at = 0, n = 0;

    for (; at < as_it_is->len && n < token->len; at++) {
        size_t step = as_it_is->text[at] == ' ' && token->len - n >= 3 &&
                              memcmp(token->text + n, token_blank, 3) == 0
                          ? 3
                          : 1;
        if (step == 1 && token->text[n] != as_it_is->text[at])
            return true;
        n += step;
    }
    return at < as_it_is->len || n < token->len;
}

static void check_added(const struct tokenizer_keys *k)
{
    bool phi3 = tokenizer_strips_as_phi3(k->t);
    int named = 0;

    for (int pass = 0; pass < ADDED_PASSES; pass++)
        for (int i = 0; i < k->t->added[pass].n; i++) {
            const struct added_token *token = &k->t->added[pass].items[i];
            unsigned flags = token->flags & ~(phi3 ? (unsigned)ADDED_RSTRIP : 0);
            const char *name = flag_name(flags);
            bool changed = pass == ADDED_SECOND && is_changed(k->t, token);
            if ((!name && !changed) || named++ >= TOKENS_NAMED_MAX)
                continue;
            fault(k, "the added token '%s' has the flag %s, for which there is no word",
                  vocab_token_show(&k->t->vocab.tokens[token->id]).text,
                  name ? name : "normalized");
        }
    if (named > TOKENS_NAMED_MAX)
        fault(k, "and so have %d more added tokens", named - TOKENS_NAMED_MAX);
}

/* A GGUF looks for all added tokens at once, and would find the one that holds the other. */
static void check_passes(const struct tokenizer_keys *k)
{
    const struct added_tokens *first = &k->t->added[ADDED_FIRST];
    const struct added_tokens *second = &k->t->added[ADDED_SECOND];
    int named = 0;

    for (int i = 0; i < second->n; i++) {
        const struct added_token *token = &second->items[i], *inside = NULL;
        size_t work = 0;
        for (size_t at = 0; at < token->len && !inside; at++)
            inside = added_tokens_at(first, token->text + at, token->len - at, &work);
        if (inside && named++ < TOKENS_NAMED_MAX)
            fault(k,
                  "the added token '%s' holds '%s', which is not normalized and so is found first",
                  vocab_token_show(&k->t->vocab.tokens[token->id]).text,
                  token_text_show(inside->text, inside->len).text);
    }
}

/* ---- ids ---- */

/* Of the ids that the model has no rows for, only added tokens can be left out. */
static void check_ids(const struct tokenizer_keys *k)
{
    const struct vocab *v = &k->t->vocab;
    int n = k->w->n_tokens, out = 0, first = 0;

    for (int id = n; id < v->n; id++) {
        if (v->tokens[id].text && out++ == 0)
            first = id;
        if (v->tokens[id].text && !(k->t->flags[id] & TOKEN_ADDED)) {
            fault(k, "the token '%s' has the id %d, and the model has %d tokens",
                  vocab_token_show(&v->tokens[id]).text, id, n);
            return;
        }
    }
    if (k->t->bos >= n || k->t->eos >= n)
        fault(k, "the begin or end token's id (%d, %d) is outside the model's vocabulary of %d",
              k->t->bos, k->t->eos, n);
    else if (out)
        buf_printf(k->notices,
                   "the model has no embedding for the tokens from id %d on, which are left out: "
                   "'%s'%s\n",
                   n, vocab_token_show(&v->tokens[first]).text, out > 1 ? " and others" : "");
}

/* llama.cpp refuses a vocabulary in which two tokens have one text. */
static void check_texts(const struct tokenizer_keys *k)
{
    const struct vocab *v = &k->t->vocab;
    int named = 0;

    for (int id = 0; id < v->n && id < k->w->n_tokens; id++) {
        const struct vocab_token *token = &v->tokens[id];
        int found = token->text && token->len ? vocab_find(v, token->text, token->len) : id;
        if (found != id && named++ < TOKENS_NAMED_MAX)
            fault(k, "the ids %d and %d have the same text, '%s'", id, found,
                  vocab_token_show(token).text);
        if (token->text && memchr(token->text, '\0', token->len) && named++ < TOKENS_NAMED_MAX)
            fault(k, "the token of id %d holds a NUL", id);
    }
}

static void check_merges(const struct tokenizer_keys *k)
{
    const struct vocab *v = &k->t->vocab;

    for (size_t i = 0; k->t->kind == TOKENIZER_BYTES && i <= v->merge_mask; i++) {
        const struct vocab_merge *m = &v->merges[i];
        const struct vocab_token *left, *right;
        if (m->key == UINT64_MAX)
            continue;
        left = &v->tokens[m->key >> 32];
        right = &v->tokens[m->key & UINT32_MAX];
        if (memchr(left->text, ' ', left->len) || memchr(right->text, ' ', right->len)) {
            fault(k, "the merge of '%s' and '%s' has a blank in it", vocab_token_show(left).text,
                  vocab_token_show(right).text);
            return;
        }
    }
}

/* What llama.cpp would do where the keys have no word for "none". */
static void check_ends(const struct tokenizer_keys *k)
{
    const struct tokenizer *t = k->t;

    if (t->eos < 0)
        buf_puts(k->notices, "the tokenizer has no end token: llama.cpp takes one of its own\n");
    if (t->behind >= 0 && t->behind != t->eos)
        buf_printf(k->notices, "llama.cpp does not put the token '%s' behind a text\n",
                   vocab_token_show(&t->vocab.tokens[t->behind]).text);
    else if (t->behind >= 0)
        buf_puts(k->notices, "llama.cpp puts the end token behind every text, as this tokenizer "
                             "does, and so behind a prompt\n");
}

static bool has_long_token(const struct tokenizer_keys *k)
{
    const struct vocab *v = &k->t->vocab;

    for (int id = 0; id < v->n; id++)
        if (v->tokens[id].text && v->tokens[id].len > TOKENIZER_TOKEN_MAX) {
            fault(k, "the token of id %d has %u bytes; at most %d are possible", id,
                  v->tokens[id].len, TOKENIZER_TOKEN_MAX);
            return true;
        }
    return false;
}

int tokenizer_write_check(struct tokenizer_keys *k, struct err *err)
{
    int rc = 0;

    if (has_long_token(k)) /* nothing else is looked at */
        return 0;
    rc = check_kind(k, err);
    if (rc < 0)
        return rc;
    check_added(k);
    check_passes(k);
    check_ids(k);
    check_texts(k);
    check_merges(k);
    check_ends(k);
    return 0;
}

/* core/text/sentencepiece.c - a tokenizer from SentencePiece's tokenizer.model, a protobuf message,
 * and the files beside it. What protobuf-c takes for it is bounded by the file's size. */
#include "core/file.h"
#include "core/text/sentencepiece.pb-c.h"
#include "core/text/tokenizer_files.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 64 << 20 };
enum { MEMORY_FACTOR = 24, MEMORY_FREE = 1 << 20 }; /* of what a message may take */

typedef Sentencepiece__Model message;
typedef Sentencepiece__Piece piece;

struct budget {
    size_t left;
    bool exhausted;
};

static void *take(void *data, size_t bytes)
{
    struct budget *b = data;

    if (bytes > b->left) {
        b->exhausted = true;
        return NULL;
    }
    b->left -= bytes;
    return malloc(bytes);
}

static void give_back(void *data, void *memory)
{
    (void)data;
    free(memory);
}

/* The caller frees *ret by free_message(). */
static int parse(const char *bytes, size_t len, message **ret, struct err *err)
{
    struct budget budget = {MEMORY_FACTOR * len + MEMORY_FREE, false};
    ProtobufCAllocator allocator = {take, give_back, &budget};

    *ret = sentencepiece__model__unpack(&allocator, len, (const uint8_t *)bytes);
    if (*ret && (*ret)->n_pieces > 0)
        return 0;
    if (*ret)
        return err_set(err, ERR_INVALID, "has no pieces: it is no SentencePiece model");
    if (budget.exhausted)
        return err_set(err, ERR_INVALID,
                       "is damaged: its fields are out of proportion to its size");
    return err_set(err, ERR_INVALID, "is cut off, damaged, or no SentencePiece model");
}

static void free_message(message *m)
{
    ProtobufCAllocator allocator = {take, give_back, NULL};

    if (m)
        sentencepiece__model__free_unpacked(m, &allocator);
}

static int check(const message *m, struct err *err)
{
    static const char *const kinds[] = {"", "Unigram", "BPE", "word", "character"};
    int kind;

    if (!m->trainer_spec || !m->normalizer_spec)
        return err_set(err, ERR_INVALID,
                       "is cut off: it has no trainer_spec or no normalizer_spec");
    kind = (int)m->trainer_spec->model_type;
    if (kind != SENTENCEPIECE__TRAINER_SPEC__MODEL_TYPE__BPE)
        return err_set(err, ERR_UNSUPPORTED,
                       "the SentencePiece model of the kind %s is not supported: BPE is",
                       kind >= 1 && kind <= 4 ? kinds[kind] : "(unknown)");
    if (m->trainer_spec->treat_whitespace_as_suffix)
        return err_set(err, ERR_UNSUPPORTED, "treat_whitespace_as_suffix is not supported");
    if (!m->normalizer_spec->escape_whitespaces)
        return err_set(err, ERR_UNSUPPORTED, "escape_whitespaces: false is not supported");
    if (m->n_pieces > VOCAB_MAX)
        return err_set(err, ERR_INVALID, "has %zu pieces; at most %d are possible", m->n_pieces,
                       VOCAB_MAX);
    return 0;
}

static int put_user_piece(struct tokenizer *t, int id, struct err *err)
{
    const struct added_token token = {t->vocab.tokens[id].text, t->vocab.tokens[id].len, id, 0};

    t->flags[id] = TOKEN_ADDED;
    return token.len == 0 ? 0 : added_tokens_put(&t->pieces.user, &token, err);
}

static int put_piece(struct tokenizer *t, int id, const piece *p, struct err *err)
{
    const char *text = p->piece.data ? (const char *)p->piece.data : "";
    int rc;

    if (p->type == SENTENCEPIECE__PIECE__TYPE__CONTROL ||
        p->type == SENTENCEPIECE__PIECE__TYPE__UNKNOWN)
        rc = tokenizer_add_token(t, id, text, p->piece.len, ADDED_SPECIAL, ADDED_FIRST, err);
    else
        rc = vocab_put(&t->vocab, id, text, p->piece.len, err);
    if (rc < 0)
        return rc;
    if (isnan(p->score))
        return err_set(err, ERR_INVALID, "the score of piece %d is not a number", id);
    switch (p->type) {
    case SENTENCEPIECE__PIECE__TYPE__UNKNOWN:
        t->pieces.unknown = id;
        return 0;
    case SENTENCEPIECE__PIECE__TYPE__CONTROL:
    case SENTENCEPIECE__PIECE__TYPE__BYTE:
        return 0;
    case SENTENCEPIECE__PIECE__TYPE__UNUSED:
        return err_set(err, ERR_UNSUPPORTED,
                       "piece %d is of the type UNUSED, which is not supported", id);
    case SENTENCEPIECE__PIECE__TYPE__USER_DEFINED:
        rc = put_user_piece(t, id, err);
        break;
    default:
        break;
    }
    pieces_set_score(&t->pieces, &t->vocab, id, p->score);
    return rc;
}

static int add_steps(struct tokenizer *t, const Sentencepiece__NormalizerSpec *spec,
                     struct err *err)
{
    bool prefix = spec->add_dummy_prefix;
    int rc = 0;

    t->strip = prefix ? STRIP_BLANK : STRIP_NOTHING;
    if (spec->precompiled_charsmap.len > 0)
        rc = normalizer_add_charsmap(&t->normalizer, spec->precompiled_charsmap.data,
                                     spec->precompiled_charsmap.len, &t->pieces.user, err);
    if (rc == 0)
        rc = normalizer_add_blanks(&t->normalizer, prefix, spec->remove_extra_whitespaces, err);
    return rc;
}

static int control_id(const struct tokenizer *t, const char *text, int fallback)
{
    int id = tokenizer_id(t, text);

    return id >= 0 && (t->flags[id] & TOKEN_SPECIAL) ? id : fallback;
}

/* As transformers' LlamaTokenizer: the begin token stands in front unless the files say otherwise.
 */
static void read_ends(struct tokenizer *t, const message *m, const struct tokenizer_files *files)
{
    const json_t *adds_eos = json_object_get(files->config, "add_eos_token");

    t->bos = control_id(t, m->trainer_spec->bos_piece, t->bos);
    t->eos = control_id(t, m->trainer_spec->eos_piece, t->eos);
    t->adds_bos = !json_is_false(json_object_get(files->config, "add_bos_token")) && t->bos >= 0;
    t->behind = json_is_true(adds_eos) ? t->eos : -1;
}

static int fill(struct tokenizer *t, const message *m, const struct tokenizer_files *files,
                struct err *err)
{
    int n = (int)m->n_pieces, rc = 0;

    for (int id = 0; id < n && rc == 0; id++)
        rc = put_piece(t, id, m->pieces[id], err);
    if (rc == 0)
        rc = add_steps(t, m->normalizer_spec, err);
    if (rc < 0)
        return rc;
    read_ends(t, m, files);
    rc = tokenizer_files_apply(files, t, n, err);
    if (rc == 0)
        rc = tokenizer_finish(t, err);
    if (rc == 0 && !m->trainer_spec->byte_fallback)
        t->pieces.has_bytes = false;
    else if (rc == 0 && !t->pieces.has_bytes)
        rc = err_set(err, ERR_INVALID, "has byte_fallback but not all pieces <0x00> to <0xFF>");
    return rc;
}

static int from_message(const message *m, const struct tokenizer_files *files, int bos_id,
                        int eos_id, struct tokenizer **ret, struct err *err)
{
    struct tokenizer *t = NULL;
    int rc = check(m, err);

    if (rc == 0)
        rc = tokenizer_new(TOKENIZER_PIECES, (int)(m->n_pieces + tokenizer_files_count(files)), 0,
                           &t, err);
    if (rc < 0)
        return rc;
    t->bos = bos_id;
    t->eos = eos_id;
    rc = fill(t, m, files, err);
    if (rc < 0)
        tokenizer_free(t);
    else
        *ret = t;
    return rc;
}

int tokenizer_from_pieces(const char *path, int bos_id, int eos_id,
                          struct tokenizer **ret_tokenizer, struct err *err)
{
    struct tokenizer_files files = {0};
    message *m = NULL;
    char *bytes = NULL;
    size_t len = 0;
    int rc = file_read(path, FILE_BYTES_MAX, &bytes, &len, err);

    if (rc < 0)
        return rc;
    rc = parse(bytes, len, &m, err);
    if (rc < 0)
        err_prefix(err, "%s", path);
    if (rc == 0)
        rc = tokenizer_files_read(path, &files, err);
    if (rc == 0 && (rc = from_message(m, &files, bos_id, eos_id, ret_tokenizer, err)) < 0)
        err_prefix(err, "%s", path);
    tokenizer_files_free(&files);
    free_message(m);
    free(bytes);
    return rc;
}

/* core/model/merge_gguf.c - see merge.h: GGUF files, out of one or of a folder (merge_convert.c).
 *
 * Types are chosen first, since the header, which stands in front, holds every tensor's type and
 * offset; then the tensors are written one after the other.
 */
#include "core/model/merge.h"
#include "core/model/merge_impl.h"
#include "core/tensor/dequant.h"
#include "core/tensor/gguf_write.h"
#include "core/tensor/quant.h"
#include <string.h>

enum { QUANTIZATION_VERSION = 2 };

/* ---- types ---- */

static bool has_blocks_of(const struct tensor *t, enum tensor_type type)
{
    return t->shape[t->n_dims - 1] % tensor_layout(type)->block_elements == 0;
}

static bool is_quantised(enum tensor_type type)
{
    return type != TENSOR_UNSUPPORTED && tensor_layout(type)->block_elements > 1;
}

/* Less than Q8_0 has would lose most of an adapter: what it adds is often smaller than a step of
 * such a type. */
static bool keeps_adapters(enum tensor_type type)
{
    return type == TENSOR_F32 || type == TENSOR_F16 || type == TENSOR_BF16 || type == TENSOR_Q8_0;
}

static enum tensor_type type_for(const struct merge *m, const struct merge_tensor *t)
{
    const struct tensor *from = t->source.tensor;

    if (!m->model->gguf && (from->n_dims < 2 || (m->keep && from->type == TENSOR_F64)))
        return TENSOR_F32;
    if (m->keep ? !t->map || keeps_adapters(from->type) : from->n_dims < 2)
        return from->type;
    if (!m->keep && has_blocks_of(from, m->type))
        return m->type;
    if (m->keep && from->type == TENSOR_F64)
        return TENSOR_F32;
    return has_blocks_of(from, TENSOR_Q8_0) ? TENSOR_Q8_0 : TENSOR_F16;
}

/* Of which types matrices have become another one than the type asked for. */
static void describe_types(const struct merge *m, const struct merge_plan *p, struct buf *notices)
{
    int counts[TENSOR_UNSUPPORTED][TENSOR_UNSUPPORTED] = {{0}}, coarse = 0;

    for (int i = 0; i < p->n; i++) {
        enum tensor_type from = p->of[i].source.tensor->type, to = p->of[i].type;
        counts[from][to] +=
            p->of[i].source.tensor->n_dims > 1 && from != to && (m->keep || to != m->type);
        coarse += p->of[i].map && !keeps_adapters(to);
    }
    for (int i = 0; i < TENSOR_UNSUPPORTED * TENSOR_UNSUPPORTED; i++) {
        enum tensor_type from = i / TENSOR_UNSUPPORTED, to = i % TENSOR_UNSUPPORTED;
        if (counts[from][to])
            buf_printf(notices, "%d %s%s matrices are written as %s%s%s\n", counts[from][to],
                       m->keep && m->model->gguf ? "adapted " : "", tensor_type_name(from),
                       tensor_type_name(to), m->keep ? "" : ": their rows do not fill blocks of ",
                       m->keep ? "" : tensor_type_name(m->type));
    }
    if (coarse)
        buf_printf(notices,
                   "%d adapted matrices are written as %s, which loses much of what was trained: "
                   "compare the answers with those of --type Q8_0\n",
                   coarse, tensor_type_name(m->type));
}

static int choose_types(const struct merge *m, struct merge_plan *p, struct buf *notices,
                        struct err *err)
{
    for (int i = 0; i < p->n; i++) {
        struct merge_tensor *t = &p->of[i];
        int rc = tensor_check_readable(t->source.tensor, err);
        if (rc < 0)
            return err_prefix(err, "%s", tensorfile_path(t->file));
        t->type = type_for(m, t);
    }
    describe_types(m, p, notices);
    return 0;
}

/* ---- the header ---- */

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* Keys that are written anew, or say how the base was split. */
static bool is_replaced(const char *key, void *context)
{
    const struct merge *m = context;

    if (begins_with(key, "split."))
        return true;
    if (strcmp(key, "tokenizer.chat_template") == 0)
        return m->chat_template != NULL;
    if (strcmp(key, "general.file_type") == 0)
        return !m->keep;
    return false;
}

static int copy_keys(const struct merge *m, const struct merge_plan *p, struct gguf_out *o,
                     struct err *err)
{
    const struct tensorfile *base = m->model->files.items[0];
    bool quantised = false;
    double version;
    int rc = gguf_copy_keys(o, base, is_replaced, (void *)m, err);

    for (int i = 0; i < p->n; i++)
        quantised |= is_quantised(p->of[i].type);
    if (m->chat_template)
        gguf_put_string(o, "tokenizer.chat_template", m->chat_template);
    if (!m->keep)
        gguf_put_u32(o, "general.file_type", (uint32_t)gguf_file_type(m->type));
    if (quantised && !tensorfile_kv_number(base, "general.quantization_version", &version))
        gguf_put_u32(o, "general.quantization_version", QUANTIZATION_VERSION);
    return rc;
}

/* That of most matrices. */
static int file_type(const struct merge *m, const struct merge_plan *p)
{
    int counts[TENSOR_UNSUPPORTED + 1] = {0};
    enum tensor_type most = TENSOR_F32;

    for (int i = 0; i < p->n; i++)
        counts[p->of[i].type] += p->of[i].source.tensor->n_dims > 1;
    for (enum tensor_type type = 0; type < TENSOR_UNSUPPORTED; type++)
        if (counts[type] > counts[most])
            most = type;
    return gguf_file_type(m->keep ? most : m->type);
}

static void put_tensors(const struct merge_plan *p, struct gguf_out *o)
{
    for (int i = 0; i < p->n; i++) {
        const struct tensor *from = p->of[i].source.tensor;
        struct tensor_out t = {
            .name = p->of[i].name, .type = p->of[i].type, .n_dims = from->n_dims};
        memcpy(t.shape, from->shape, sizeof(t.shape));
        gguf_put_tensor(o, &t);
    }
}

/* ---- the file ---- */

static int write_all(const struct merge *m, const struct merge_plan *p, const struct gguf_out *o,
                     struct file_writer *w, struct err *err)
{
    uint64_t done = 0;
    int rc = 0;

    for (int i = 0; i < p->n && rc == 0; i++) {
        rc = merge_write(m, &p->of[i], w, &done, o->data, err);
        if (rc == 0)
            rc = gguf_out_pad(o, merge_tensor_bytes(&p->of[i]), w, err);
    }
    return rc;
}

static int write_file(const struct merge *m, const struct merge_plan *p, struct gguf_out *o,
                      const char *path, struct err *err)
{
    struct file_writer w = {0};
    int rc;

    put_tensors(p, o);
    rc = gguf_out_begin(o, path, &w, err);
    if (rc == 0)
        rc = write_all(m, p, o, &w, err);
    if (rc == 0)
        rc = file_writer_commit(&w, err);
    file_writer_abandon(&w);
    return rc;
}

static int of_gguf(const struct merge *m, const char *path, struct buf *notices, struct err *err)
{
    struct gguf_out o = {.alignment = GGUF_ALIGNMENT};
    struct merge_plan p = {0};
    int rc = merge_plan_open(m, &p, err);

    if (rc == 0)
        rc = choose_types(m, &p, notices, err);
    if (rc == 0)
        rc = copy_keys(m, &p, &o, err);
    if (rc == 0)
        rc = write_file(m, &p, &o, path, err);
    gguf_out_free(&o);
    merge_plan_close(&p);
    return rc;
}

static int of_folder(const struct merge *m, const char *path, struct buf *notices,
                     struct problems *problems, struct err *err)
{
    struct gguf_out o = {.alignment = GGUF_ALIGNMENT};
    struct merge_conversion c = {0};
    int before = problems_count(problems);
    int rc = merge_conversion_open(m, &c, problems, err);

    if (rc == 0)
        rc = choose_types(m, &c.plan, notices, err);
    if (rc == 0)
        rc = merge_conversion_put_keys(m, file_type(m, &c.plan), &o, notices, problems, err);
    if (rc == 0 && problems_count(problems) > before)
        rc = err_set(err, ERR_INVALID, "%s cannot become a GGUF", m->model->path);
    if (rc == 0)
        rc = write_file(m, &c.plan, &o, path, err);
    gguf_out_free(&o);
    merge_conversion_close(&c);
    return rc;
}

int merge_gguf(const struct merge *m, const char *path, struct buf *notices,
               struct problems *problems, struct err *err)
{
    return m->model->gguf ? of_gguf(m, path, notices, err)
                          : of_folder(m, path, notices, problems, err);
}

/* worker/score.c - see score.h. Training's own forward pass; of a layer only its input is kept, as
 * where a backward pass would make the rest again, so that memory is that of one layer. */
#include "worker/score.h"
#include <stdlib.h>
#include <string.h>

enum { BATCH_TOKENS = 1024 };

struct scorer {
    struct stage *stage;
    struct stage_slot slot;
};

int scorer_open(struct stage *stage, struct scorer **ret, struct err *err)
{
    struct scorer *s = calloc(1, sizeof(*s));

    if (!s)
        return err_nomem(err, sizeof(*s));
    s->stage = stage;
    stage_make_again(stage, stage->config.n_layers);
    *ret = s;
    return 0;
}

void scorer_close(struct scorer *s)
{
    if (!s)
        return;
    slot_free(&s->slot);
    free(s);
}

int scorer_batch(const struct example *examples, int n)
{
    int taken = 0, tokens = 0;

    while (taken < n && (taken == 0 || tokens + examples[taken].n <= BATCH_TOKENS))
        tokens += examples[taken++].n;
    return taken;
}

/* What a batch is made of: an example without its last token is a segment. */
struct packed {
    int32_t *ids, *targets, *starts, *rows;
    int T, n;
    double *losses; /* (trained rows) */
};

static void packed_close(struct packed *p)
{
    free(p->ids);
    free(p->losses);
}

static int pack(const struct example *examples, int n, struct packed *ret, struct err *err)
{
    struct packed p = {.n = n};
    size_t numbers;
    int t = 0;

    for (int i = 0; i < n; i++)
        p.T += examples[i].n - 1;
    numbers = 2 * (size_t)p.T + 2 * (size_t)n + 1;
    p.ids = calloc(numbers, sizeof(*p.ids));
    p.losses = calloc((size_t)p.T, sizeof(*p.losses));
    if (!p.ids || !p.losses) {
        packed_close(&p);
        return err_nomem(err, numbers * sizeof(*p.ids));
    }
    p.targets = p.ids + p.T;
    p.starts = p.targets + p.T;
    p.rows = p.starts + n + 1;
    for (int i = 0; i < n; i++) {
        const struct example *e = &examples[i];
        for (int k = 0; k + 1 < e->n; k++, t++) {
            p.ids[t] = e->ids[k];
            p.targets[t] = e->labels[k + 1] == LABEL_NONE ? NO_TARGET : e->labels[k + 1];
        }
        p.starts[i + 1] = t;
    }
    *ret = p;
    return 0;
}

static int forward(struct scorer *s, const struct packed *p, struct err *err)
{
    const struct stage_pass pass = {.step = 0, .train = false};
    struct batch batch;
    int rc = batch_make(p->ids, p->targets, p->T, (struct segments){p->n, p->starts, NULL}, p->rows,
                        1, &batch, err);

    if (rc < 0)
        return rc;
    rc = stage_fit(s->stage, &batch, 1, err);
    if (rc == 0)
        rc = slot_fit(s->stage, &s->slot, &batch, err);
    if (rc == 0 && batch.trained.n > 0) {
        stage_forward(s->stage, &s->slot, &batch, &pass, NULL);
        rc = stage_losses(s->stage, &s->slot, &batch, p->losses, err);
    }
    batch_free(&batch);
    return rc;
}

static int check_length(const struct scorer *s, const struct example *examples, int n,
                        struct err *err)
{
    int most = s->stage->config.max_positions;

    for (int i = 0; i < n; i++)
        if (examples[i].n > most)
            return err_set(err, ERR_INVALID,
                           "a row has %d tokens, more than the %d positions that the model knows",
                           examples[i].n, most);
    return 0;
}

int scorer_run(struct scorer *s, const struct example *examples, int n, struct score *ret,
               struct err *err)
{
    struct packed p = {0};
    int rc = check_length(s, examples, n, err), row = 0;

    if (rc == 0)
        rc = pack(examples, n, &p, err);
    if (rc != 0)
        return rc;
    rc = forward(s, &p, err);
    for (int i = 0; rc == 0 && i < n; i++) {
        ret[i] = (struct score){0};
        for (int t = p.starts[i]; t < p.starts[i + 1]; t++)
            if (p.targets[t] != NO_TARGET) {
                ret[i].loss += p.losses[row++];
                ret[i].tokens++;
            }
    }
    packed_close(&p);
    return rc;
}

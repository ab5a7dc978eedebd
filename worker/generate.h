/* worker/generate.h - the model answers prompts: packed prefill, then one token a sequence a step
 * with cached keys and values.
 *
 * A generator owns a whole model (one stage of all layers) and at most one adapter. Sequences of a
 * group advance together, so that each weight is read once a step for all of them.
 */
#pragma once
#include "core/err.h"
#include "core/model/adapter.h"
#include "core/text/tokenizer.h"
#include "worker/sampling.h"
#include "worker/stage.h"

enum { GENERATE_GROUP = 16 };

struct generate_options {
    int max_tokens;
    struct sampling sampling;
    const struct tokenizer *tokenizer; /* whose ends stop a sequence; NULL: none do */
    /* Unless NULL, called with the logits (V) of each new token before it is sampled, and the arg
     * of generate(). */
    void (*on_logits)(void *arg, int sequence, const float *logits);
};

struct generator;

/* adapter: a PEFT folder, or NULL. threads 0: all cores that this process may use. */
int generator_open(const char *model_path, const char *adapter, int threads, struct generator **ret,
                   struct err *err);
/* The same of a model that is open, which becomes the generator's, on failure too; a may be NULL.
 */
int generator_open_model(struct model *model, const struct adapter *a, int threads,
                         struct generator **ret, struct err *err);
void generator_close(struct generator *g); /* NULL-safe */
const struct model *generator_model(const struct generator *g);
struct stage *generator_stage(struct generator *g);

/* Continues n <= GENERATE_GROUP prompts; first_index keys the random numbers of prompt 0. Appends
 * to answers (n), the end token not included. `on_token`, unless NULL, is called after each new
 * token of any sequence; a sequence for which it returns 1 ends there, and a negative code ends all
 * of them. */
int generate(struct generator *g, const struct token_list *prompts, int n, long first_index,
             const struct generate_options *options, struct token_list *answers,
             int (*on_token)(void *arg, int sequence, int32_t id, struct err *err), void *arg,
             struct err *err);

/* The program: `dash-worker generate ARGS...`. */
int generate_main(int argc, char **argv);

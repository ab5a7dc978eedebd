/* core/model/json_description.h - the description of a GGUF's model as a config.json: the inverse
 * of model_describe_json(), by which it is checked.
 */
#pragma once
#include "core/buf.h"
#include "core/model/model_impl.h"

struct json_description {
    const struct model *model;
    int bos, eos, pad;     /* ids; -1: none */
    enum tensor_type type; /* of the weights beside it: F32, F16 or BF16 */
};

/* "float32": what config.json calls F32, F16 or BF16. */
const char *model_torch_dtype(enum tensor_type type);

/* Appends the file's text. Keys that the family has are written even where its class would have the
 * value by itself: others have other defaults. */
void model_put_json_description(const struct json_description *d, struct buf *out);

/* Adds to problems what of the model such a file cannot say: the text is read back, and everything
 * that came out otherwise is named. */
int model_check_json_description(const struct model *m, const struct buf *text,
                                 struct problems *problems, struct err *err);

/* core/model/merge.h - a model with an adapter added to its weights, as files that other programs
 * load: for an adapted map
 *
 *   W' = W + s B A
 *
 * where each sum over the rank is taken in double, in the order of the rank, W is added in double,
 * and the result is rounded to f32 and then to the type of the file. Everything else is copied,
 * byte for byte where its type stays. The same input gives the same bytes. Some rows of one matrix
 * are in memory at a time.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/model/adapter.h"
#include "core/model/model.h"
#include "core/problems.h"

struct merge {
    const struct model *model;
    const struct adapter *adapter; /* of the model's shapes */
    const double *scales;          /* (adapter->n) s of each map */
    bool keep;                     /* types stay, but adapted matrices have at least Q8_0; else: */
    enum tensor_type type;         /* of all matrices, and in a folder of all vectors, too */
    const char *chat_template;     /* the text of one that replaces the model's; or NULL */
    /* Called now and then with the bytes written so far and in all. Anything but 0 ends the merge
     * with ERR_STATE. May be NULL. */
    int (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* A GGUF at path. Of a GGUF: its metadata are the base's, but for the parts of a split file,
 * general.file_type where the type changes, and the chat template. Of a folder: description and
 * tokenizer are in the words of a GGUF, vectors in F32; what has no word there is added to problems
 * (ERR_INVALID), all of it before anything is written. Appends to notices, a sentence a line, what
 * the user should know. ERR_INVALID where a number does not fit its type. */
int merge_gguf(const struct merge *m, const char *path, struct buf *notices,
               struct problems *problems, struct err *err);

/* A folder in Hugging Face's layout, at path. Of a folder: the base's files, in which weights and
 * config.json's type of numbers are replaced. Of a GGUF: config.json, generation_config.json and
 * the tokenizer's files say what the GGUF does; numbers are expanded to f32 and rounded once, to
 * one type for all, which with `keep` is that of the matrices where they have one that folders
 * have, and F32 where they do not. What has no word there is added to problems (ERR_INVALID), all
 * of it before anything is written. notices as of merge_gguf(). */
int merge_folder(const struct merge *m, const char *path, struct buf *notices,
                 struct problems *problems, struct err *err);

/* The adapter alone as llama.cpp's convert_lora_to_gguf.py writes it, in f32, with q and k in the
 * order of rows that the family has in a GGUF. llama.cpp's scale is one alpha / rank for all; where
 * an adapter's scales differ from that, B holds the difference. */
int merge_gguf_adapter(const struct model *model, const struct adapter *adapter,
                       const double *scales, const char *name, const char *path, struct err *err);

/* client/export_serve.c - see export_serve.h. The commands are those of vLLM's `vllm serve` and
 * llama.cpp's server; paths and names are quoted as a shell needs them. */
#include "client/export_serve.h"
#include "core/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CONTEXT_MAX = 8192 }; /* of what Ollama reserves memory for */

static void put_word(struct buf *out, const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:@%,";

    if (*word && strspn(word, plain) == strlen(word)) {
        buf_puts(out, word);
        return;
    }
    buf_puts(out, "'");
    for (; *word; word++)
        buf_printf(out, *word == '\'' ? "'\\''" : "%c", *word);
    buf_puts(out, "'");
}

/* The ranks that vLLM has kernels for (vllm/config/lora.py); 0: it has none of this rank. */
static int vllm_rank(int rank)
{
    static const int ranks[] = {8, 16, 32, 64, 128, 256, 320, 512};

    for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++)
        if (rank <= ranks[i])
            return ranks[i];
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *name_of(const struct export_result *r, const char *without)
{
    return r->source->job && r->source->job->name ? r->source->job->name : without;
}

/* Without a chat template vLLM completes texts, and its users must write the prompt as it was
 * trained. */
static void note_wording(const struct export_result *r, struct buf *notices)
{
    if (r->template->kind == TEMPLATE_PLAIN)
        buf_puts(notices, "trained with the template plain: send prompts as they are to "
                          "/v1/completions, not to /v1/chat/completions\n");
    if (r->template->kind == TEMPLATE_ALPACA)
        buf_puts(notices, "trained with the template alpaca: send prompts in that wording to "
                          "/v1/completions, not to /v1/chat/completions\n");
}

static void put_vllm(const struct export_result *r, struct buf *out, struct buf *notices)
{
    int rank = export_source_rank(r->source);
    bool of_folder = is_folder(r->source->model_path);
    char *lora = NULL;

    note_wording(r, notices);
    if (r->format == EXPORT_SAFETENSORS) {
        buf_puts(out, "vllm serve ");
        put_word(out, r->path);
        return;
    }
    if (!vllm_rank(rank)) {
        buf_printf(notices,
                   "vLLM serves adapters of rank 512 at most, and this one has rank %d: export "
                   "safetensors for vLLM\n",
                   rank);
        return;
    }
    if (!of_folder)
        buf_puts(notices,
                 "vLLM needs the Hugging Face model that the GGUF was made from: put it in "
                 "place of BASE\n");
    buf_puts(out, "vllm serve ");
    put_word(out, of_folder ? r->source->model_path : "BASE");
    buf_puts(out, " --enable-lora --lora-modules ");
    if (asprintf(&lora, "%s=%s", name_of(r, "trained"), r->path) >= 0)
        put_word(out, lora);
    free(lora);
    buf_printf(out, " --max-lora-rank %d", vllm_rank(rank));
    if (r->template->text) {
        buf_puts(out, " --chat-template ");
        put_word(out, r->path);
        buf_puts(out, "/chat_template.jinja");
    }
}

static void put_llama_cpp(const struct export_result *r, struct buf *out, struct buf *notices)
{
    bool adapter = r->format == EXPORT_GGUF_ADAPTER, folder = is_folder(r->source->model_path);

    note_wording(r, notices);
    buf_puts(out, "llama-server -m ");
    if (adapter && folder)
        buf_puts(notices,
                 "llama.cpp needs the base model as a GGUF (convert_hf_to_gguf.py): put it "
                 "in place of BASE.gguf\n");
    put_word(out, !adapter ? r->path : folder ? "BASE.gguf" : r->source->model_path);
    if (adapter) {
        buf_puts(out, " --lora ");
        put_word(out, r->path);
    }
    if (r->template->chat)
        buf_puts(out, " --jinja");
    if (adapter && r->template->text)
        buf_puts(notices, "trained with a chat template of its own, which a GGUF adapter does not "
                          "hold: give it to llama-server with --chat-template-file\n");
}

void export_put_command(const struct export_result *r, struct buf *out, struct buf *notices)
{
    if (r->format == EXPORT_PEFT || r->format == EXPORT_SAFETENSORS)
        put_vllm(r, out, notices);
    else
        put_llama_cpp(r, out, notices);
}

void export_put_ollama(const struct export_result *r, const char *modelfile, struct buf *out)
{
    buf_puts(out, "ollama create ");
    put_word(out, name_of(r, "NAME"));
    buf_puts(out, " -f ");
    put_word(out, modelfile);
}

int export_write_modelfile(const struct export_result *r, const char *path, struct err *err)
{
    int positions = model_config(r->source->model)->max_positions;
    bool adapter = r->format == EXPORT_GGUF_ADAPTER;
    struct buf out = {0};
    int rc;

    buf_printf(&out, "# Written by `dashctl export`; `ollama create NAME -f %s` reads it.\n",
               strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
    buf_printf(&out, "FROM %s\n", adapter ? r->source->model_path : r->path);
    if (adapter)
        buf_printf(&out, "ADAPTER %s\n", r->path);
    rc = trained_template_for_ollama(r->template, &out, err);
    buf_printf(&out, "PARAMETER num_ctx %d\n", positions < CONTEXT_MAX ? positions : CONTEXT_MAX);
    if (rc == 0 && out.failed)
        rc = err_nomem(err, out.cap);
    if (rc == 0)
        rc = file_write_durably(path, out.data, out.len, err);
    buf_free(&out);
    return rc;
}

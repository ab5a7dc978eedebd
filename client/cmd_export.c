/* client/cmd_export.c - dashctl export: what was trained, as files that other programs load. Checks
 * all it can before it writes; what it writes appears whole, under its name, or not at all. */
#include "client/client.h"
#include "client/export_serve.h"
#include "core/job/export_source.h"
#include "client/export_target.h"
#include "client/export_template.h"
#include "client/interrupt.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/model/merge.h"
#include "core/tensor/quant.h"
#include "core/utf8.h"
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_TO = 1,
    KEY_OUT,
    KEY_MODEL,
    KEY_TYPE,
    KEY_MODELFILE,
    KEY_LORA_ONLY,
    KEY_CHECKPOINT,
    KEY_FORCE,
};

struct request {
    struct client *client;
    struct export_choice choice;
    int format; /* enum export_format; -1: not given */
    const char *out, *modelfile;
    bool force, typed, keep;
    enum tensor_type type;
};

struct work { /* on one request */
    const struct request *r;
    char path[PATH_MAX]; /* absolute, of r->out */
    struct export_source source;
    struct trained_template template;
    struct buf notices;
    double shown_s; /* clock_s() of the last progress; 0: none yet */
    bool on_terminal;
};

static const char *const format_names[] = {
    [EXPORT_PEFT] = "peft",
    [EXPORT_GGUF_ADAPTER] = "gguf-adapter",
    [EXPORT_SAFETENSORS] = "safetensors",
    [EXPORT_GGUF] = "gguf",
};
enum { FORMATS = sizeof(format_names) / sizeof(format_names[0]) };

static const struct argp_option options[] = {
    {"to", KEY_TO, "FORMAT", 0,
     "peft: the adapter, as PEFT and vLLM load it; gguf-adapter: the adapter, as llama.cpp and "
     "Ollama load it; safetensors: the model with the adapter in it, a Hugging Face folder, out of "
     "one or of a GGUF; gguf: "
     "the same as a GGUF file (needed)",
     0},
    {"out", KEY_OUT, "PATH", 0, "the folder (peft, safetensors) or file to write (needed)", 0},
    {"model", KEY_MODEL, "PATH", 0,
     "the base model, in place of the one that the job or the adapter names", 0},
    {"type", KEY_TYPE, "TYPE", 0,
     "of the numbers of a merged model: keep (default) those of the base, but at least Q8_0 where "
     "the adapter was added, and in a folder out of a quantised GGUF F32, which alone holds its "
     "numbers as they are; F32, F16, BF16, or in a GGUF Q8_0, Q5_1, Q5_0, Q4_1, Q4_0",
     0},
    {"lora-only", KEY_LORA_ONLY, NULL, 0, "leave out the directions of LoRA-Dash", 0},
    {"checkpoint", KEY_CHECKPOINT, NULL, 0,
     "the job's last checkpoint, even where it has written an adapter", 0},
    {"modelfile", KEY_MODELFILE, "FILE", 0, "write an Ollama Modelfile for the GGUF, too", 0},
    {"force", KEY_FORCE, NULL, 0, "replace what an earlier export has written to PATH", 0},
    {0},
};

/* ---- the command line ---- */

static int find_format(const char *name)
{
    for (int i = 0; i < FORMATS; i++)
        if (strcmp(name, format_names[i]) == 0)
            return i;
    return -1;
}

static bool find_type(const char *name, struct request *r)
{
    r->typed = true;
    r->keep = strcmp(name, "keep") == 0;
    for (enum tensor_type type = 0; type < TENSOR_UNSUPPORTED; type++)
        if (quant_can(type) && strcasecmp(name, tensor_type_name(type)) == 0) {
            r->type = type;
            return true;
        }
    return r->keep;
}

static void check_request(const struct request *r, struct argp_state *state)
{
    bool merges = r->format == EXPORT_SAFETENSORS || r->format == EXPORT_GGUF;
    bool is_gguf = r->format == EXPORT_GGUF || r->format == EXPORT_GGUF_ADAPTER;

    if (!r->choice.from)
        argp_error(state, "name the output folder of a job, or the folder of an adapter");
    if (r->format < 0)
        argp_error(state, "--to is missing: peft, gguf-adapter, safetensors or gguf");
    if (!r->out || !r->out[0])
        argp_error(state, "--out is missing: the %s to write", is_gguf ? "file" : "folder");
    if (r->typed && !merges)
        argp_error(state, "--type is for --to safetensors and --to gguf: an adapter is F32");
    if (r->typed && !r->keep && r->type >= TENSOR_Q8_0 && r->format != EXPORT_GGUF)
        argp_error(state, "safetensors has no %s: --type is keep, F32, F16 or BF16",
                   tensor_type_name(r->type));
    if (r->modelfile && !is_gguf)
        argp_error(state, "--modelfile is for --to gguf and --to gguf-adapter");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = r->client;
        break;
    case KEY_TO:
        r->format = find_format(arg);
        if (r->format < 0)
            argp_error(state, "--to is peft, gguf-adapter, safetensors or gguf, not '%s'", arg);
        break;
    case KEY_OUT:
        r->out = arg;
        break;
    case KEY_MODEL:
        r->choice.model = arg;
        break;
    case KEY_TYPE:
        if (!find_type(arg, r))
            argp_error(state,
                       "--type is keep, F32, F16, BF16, Q8_0, Q5_1, Q5_0, Q4_1 or Q4_0, not '%s'",
                       arg);
        break;
    case KEY_MODELFILE:
        r->modelfile = arg;
        break;
    case KEY_LORA_ONLY:
        r->choice.lora_only = true;
        break;
    case KEY_CHECKPOINT:
        r->choice.checkpoint = true;
        break;
    case KEY_FORCE:
        r->force = true;
        break;
    case ARGP_KEY_ARG:
        if (r->choice.from)
            argp_error(state, "one folder at a time: what is '%s'?", arg);
        r->choice.from = arg;
        break;
    case ARGP_KEY_END:
        check_request(r, state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* ---- progress ---- */

/* One line on a terminal; elsewhere a line every few seconds. */
static int show_progress(void *context, uint64_t done, uint64_t total)
{
    static const double terminal_s = 0.1, pipe_s = 5;
    struct work *w = context;
    double now = clock_s(), wait = w->on_terminal ? terminal_s : pipe_s;

    if (interrupt_count() > 0)
        return -1;
    if (w->shown_s == 0)
        w->shown_s = w->on_terminal ? now - terminal_s : now;
    if (now - w->shown_s < wait)
        return 0;
    w->shown_s = now;
    fprintf(stderr, "%swriting %s: %.0f%% of %.1f MB%s", w->on_terminal ? "\r" : "", w->r->out,
            100.0 * (double)done / (double)total, (double)total / 1e6,
            w->on_terminal ? "\033[K" : "\n");
    return 0;
}

/* ---- the work ---- */

static int write_peft(const struct work *w, struct err *err)
{
    const char *text = w->template.text;
    struct folder_writer f = {0};
    char *path = NULL;
    int rc = folder_writer_open(w->path, &f, err);

    if (rc == 0)
        rc = adapter_write(f.temporary, w->source.adapter, w->source.base_name, err);
    if (rc == 0 && text && !(path = file_join(f.temporary, "chat_template.jinja")))
        rc = err_nomem(err, strlen(f.temporary));
    if (rc == 0 && text)
        rc = file_write_durably(path, text, strlen(text), err);
    free(path);
    if (rc == 0)
        rc = folder_writer_commit(&f, err);
    folder_writer_abandon(&f);
    return rc;
}

static int write_target(struct work *w, struct problems *problems, struct err *err)
{
    const struct merge m = {
        .model = w->source.model,
        .adapter = w->source.adapter,
        .scales = w->source.scales,
        .keep = w->r->keep,
        .type = w->r->type,
        .chat_template = w->template.text,
        .progress = show_progress,
        .context = w,
    };
    const char *name = w->source.job ? w->source.job->name : "adapter";

    switch (w->r->format) {
    case EXPORT_PEFT:
        return write_peft(w, err);
    case EXPORT_GGUF_ADAPTER:
        return merge_gguf_adapter(m.model, m.adapter, m.scales, name, w->path, err);
    case EXPORT_SAFETENSORS:
        return merge_folder(&m, w->path, &w->notices, problems, err);
    default:
        return merge_gguf(&m, w->path, &w->notices, problems, err);
    }
}

/* The Modelfile is written last, and would take the place of what it names. */
static int check_modelfile(const struct work *w, struct err *err)
{
    char path[PATH_MAX];
    int rc = export_absolute(w->r->modelfile, path, err);

    if (rc == 0 && strcmp(path, w->path) == 0)
        rc = err_set(err, ERR_INVALID,
                     "--out and --modelfile are both %s: give each a path of its own", path);
    return rc;
}

static int check_targets(const struct work *w, struct err *err)
{
    bool folder = w->r->format == EXPORT_PEFT || w->r->format == EXPORT_SAFETENSORS;
    const char *const inputs[] = {w->source.model_path, w->source.adapter_folder, w->source.output};
    int rc = export_check_target(w->r->out, folder, w->r->force, inputs, 3, err);

    if (rc == 0 && w->r->modelfile)
        rc = check_modelfile(w, err);
    if (rc == 0 && w->r->modelfile)
        rc = export_check_target(w->r->modelfile, false, w->r->force, inputs, 3, err);
    return rc;
}

static int work(struct work *w, struct problems *problems, struct err *err)
{
    int rc = export_source_open(&w->r->choice, &w->source, &w->notices, problems, err);

    if (rc == 0)
        rc = export_absolute(w->r->out, w->path, err);
    if (rc == 0)
        rc = check_targets(w, err);
    if (rc == 0)
        rc = trained_template_open(&w->source, &w->template, &w->notices, err);
    if (rc == 0)
        rc = write_target(w, problems, err);
    if (w->on_terminal && w->shown_s != 0)
        fputs("\r\033[K", stderr);
    return rc;
}

/* ---- the answer ---- */

static json_t *lines_of(const char *text)
{
    json_t *list = json_array();

    for (const char *end; text && (end = strchr(text, '\n')); text = end + 1)
        json_array_append_new(list, json_stringn(text, (size_t)(end - text)));
    return list;
}

static int print_json(const struct work *w, const char *command, struct err *err)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:o, s:s?, s:s?, s:o}", "path", w->path, "format",
                          format_names[w->r->format], "model", w->source.model_path, "rank",
                          export_source_rank(&w->source), "checkpoint_step",
                          w->source.step < 0 ? json_null() : json_integer(w->source.step),
                          "modelfile", w->r->modelfile, "command", *command ? command : NULL,
                          "notices", lines_of(w->notices.data));
    char *text = o ? json_dumps(o, 0) : NULL;

    if (text)
        puts(text);
    free(text);
    json_decref(o);
    return text ? 0 : err_set(err, ERR_INVALID, "a path is not UTF-8");
}

static void print_text(const struct work *w, const char *ollama, const char *command)
{
    const char *at = w->notices.data;

    for (const char *end; at && (end = strchr(at, '\n')); at = end + 1)
        fprintf(stderr, "notice: %.*s\n", (int)(end - at), at);
    printf("%s\n", w->path);
    if (*ollama)
        printf("%s\n", ollama);
    if (*command)
        printf("%s\n", command);
}

static int answer(struct work *w, struct err *err)
{
    const struct export_result result = {w->r->format, w->path, &w->source, &w->template};
    struct buf command = {0}, ollama = {0};
    int rc = 0;

    export_put_command(&result, &command, &w->notices);
    buf_puts(&command, "");
    if (w->r->modelfile)
        export_put_ollama(&result, w->r->modelfile, &ollama);
    buf_puts(&ollama, "");
    if (command.failed || ollama.failed || w->notices.failed)
        rc = err_nomem(err, command.cap);
    if (rc == 0 && w->r->modelfile)
        rc = export_write_modelfile(&result, w->r->modelfile, err);
    if (rc == 0 && w->r->client->json)
        rc = print_json(w, command.data, err);
    else if (rc == 0)
        print_text(w, ollama.data, command.data);
    buf_free(&ollama);
    buf_free(&command);
    return rc;
}

int cmd_export(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "FOLDER",
        .doc = "Writes what was trained as a file that other programs load. FOLDER is the output "
               "folder of a job, or that of a PEFT adapter.",
        .children = children,
    };
    struct request r = {.client = c, .format = -1, .keep = true};
    struct work w = {.r = &r, .on_terminal = isatty(STDERR_FILENO)};
    struct problems problems = {0};
    struct err err;
    int rc;

    argp_parse(&parser, argc, argv, 0, NULL, &r);
    interrupt_catch();
    rc = work(&w, &problems, &err);
    if (rc == 0)
        rc = answer(&w, &err);
    rc = rc < 0 ? client_fail_problems(&problems, &err) : EXIT_OK;
    trained_template_close(&w.template);
    export_source_close(&w.source);
    buf_free(&w.notices);
    problems_free(&problems);
    return rc;
}

/* client/export_serve.h - how what was exported is served by other programs. */
#pragma once
#include "client/export_template.h"

enum export_format { EXPORT_PEFT, EXPORT_GGUF_ADAPTER, EXPORT_SAFETENSORS, EXPORT_GGUF };

struct export_result {
    enum export_format format;
    const char *path; /* absolute */
    const struct export_source *source;
    const struct trained_template *template;
};

/* Appends a command line that serves it: `vllm serve`, or llama.cpp's `llama-server`. Appends to
 * notices where there is more to know, or no command is possible. */
void export_put_command(const struct export_result *r, struct buf *out, struct buf *notices);
/* Appends the command that makes a model of Ollama from its Modelfile. */
void export_put_ollama(const struct export_result *r, const char *modelfile, struct buf *out);
/* Writes an Ollama Modelfile for a GGUF, or a GGUF adapter. */
int export_write_modelfile(const struct export_result *r, const char *path, struct err *err);

/* client/printable.c - see printable.h: protobuf-c's own descriptors say which fields are text. */
#include "client/printable.h"
#include "core/utf8.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static void escape(char **text, enum utf8_lines lines)
{
    struct buf safe = {0};
    char *copy;

    if (!*text || utf8_is_printable(*text, lines))
        return;
    utf8_escape(*text, lines, &safe);
    copy = buf_take(&safe);
    free(*text);
    *text = copy ? copy : strdup("");
}

static void escape_field(const ProtobufCFieldDescriptor *f, void *at)
{
    static const char *const files[] = {"job_yaml", "batch_script", NULL};
    static const char *const many_lines[] = {"text", "log_tail", "reason", NULL};

    if (f->type == PROTOBUF_C_TYPE_STRING && !is_one_of(f->name, files))
        escape(at, is_one_of(f->name, many_lines) ? UTF8_KEEP_LINES : UTF8_ONE_LINE);
    else if (f->type == PROTOBUF_C_TYPE_MESSAGE && *(ProtobufCMessage **)at)
        printable_message(*(ProtobufCMessage **)at);
}

void printable_message(ProtobufCMessage *m)
{
    char *base = (char *)m;
    unsigned i;
    size_t k;

    for (i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        bool is_oneof = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
        if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (is_oneof && *(const uint32_t *)(base + f->quantifier_offset) != f->id)
            continue;
        if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            escape_field(f, base + f->offset);
            continue;
        }
        for (k = 0; k < *(const size_t *)(base + f->quantifier_offset); k++)
            escape_field(f, *(void ***)(base + f->offset) + k);
    }
}

void printable_print(FILE *to, const char *text)
{
    struct buf safe = {0};

    utf8_escape(text, UTF8_KEEP_LINES, &safe);
    fputs(safe.data && !safe.failed ? safe.data : "", to);
    buf_free(&safe);
}

/* core/text/jinja/methods.h - methods of Python's types. Within this folder only. */
#pragma once
#include "core/text/jinja/run.h"

int text_method(struct run *r, const struct value *self, int attribute, const struct args *args,
                struct value *ret);
/* Those that take a text apart: split, partition and the like. */
int text_part_method(struct run *r, const struct value *self, int attribute,
                     const struct args *args, struct value *ret);
bool is_text_part_method(int attribute);

/* An argument that must be a text, an integer. */
int need_text(struct run *r, const char *what, const struct value *v);
int need_int(struct run *r, const char *what, const struct value *v);

/* Parts of texts that filters use, too. */
int strip_text(struct run *r, const struct value *self, const struct value *chars, bool left,
               bool right, struct value *ret);
int replace_text(struct run *r, struct str s, struct str from, struct str to, int64_t most,
                 struct value *ret);
int split_lines(struct run *r, const struct value *self, bool keep_ends, struct value *ret);
int justify_text(struct run *r, const struct value *self, int64_t width, struct str fill, int where,
                 struct value *ret); /* where: -1 left, 0 centre, 1 right */

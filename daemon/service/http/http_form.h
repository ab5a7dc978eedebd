/* daemon/service/http/http_form.h - a body of multipart/form-data, read piece by piece. */
#pragma once
#include "daemon/service/http/http.h"

struct http_form;

/* A piece of a field: len bytes of its value, of which `at` came before. filename is NULL where the
 * field is not a file. False: no more is read. */
typedef bool http_form_fn(void *arg, const char *field, const char *filename, const char *bytes,
                          size_t at, size_t len);

/* NULL: the body is no form, or there is no memory. */
struct http_form *http_form_open(struct http_request *r, http_form_fn *field, void *arg);
/* False where it is not well formed, or field() returned false. */
bool http_form_add(struct http_form *f, const char *bytes, size_t len);
/* False where the form is not complete. */
bool http_form_close(struct http_form *f); /* NULL-safe */

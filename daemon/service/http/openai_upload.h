/* daemon/service/http/openai_upload.h - POST v1/files, and what else is done with files. */
#pragma once
#include "daemon/service/http/http.h"

enum { OPENAI_UPLOAD_MAX = 512 << 20 };

bool openai_upload_begin(struct http_request *r);
bool openai_upload_body(struct http_request *r, const char *bytes, size_t len);
void openai_upload_done(struct http_request *r);
void openai_upload_gone(struct http_request *r);

void openai_on_files(struct http_request *r);       /* GET v1/files */
void openai_on_file(struct http_request *r);        /* GET v1/files/ID, v1/files/ID/content */
void openai_on_delete_file(struct http_request *r); /* DELETE v1/files/ID */
/* Of those answers to GET v1/files/ that are made piece by piece. */
void openai_file_writable(struct http_request *r);
void openai_file_gone(struct http_request *r);

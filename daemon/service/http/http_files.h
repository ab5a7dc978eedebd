/* daemon/service/http/http_files.h - a job's result files: GET files/ID/PATH, by DownloadFile. With
 * ?view a text is shown; without, a browser keeps the file. */
#pragma once
#include "daemon/service/http/http_call.h"

int http_files_register(struct http_server *server, struct http_calls *calls, struct err *err);

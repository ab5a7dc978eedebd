/* daemon/service/http/openai_routes.h - serves OpenAI's API (openai.h). */
#pragma once
#include "daemon/service/http/openai.h"

int openai_register(struct http_server *server, struct openai *o, struct err *err);
